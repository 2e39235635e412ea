#!/usr/bin/env bash
# On your own machine: `ray start` with the given options, with its ports closed to all but the cluster's machines.
#
# Most servers of Ray 2.60 listen on every address of a machine, whatever --node-ip-address says. So their ports are fixed
# here, and a table of the machine's firewall (nftables) lets in the machines of the launcher's file alone. It concerns no
# other port; stop_node.sh deletes it.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
closed="6379, 17000-17999"
options=(
    --node-manager-port=17000 --object-manager-port=17001 --runtime-env-agent-port=17002
    --dashboard-agent-listen-port=17003 --dashboard-agent-grpc-port=17004 --metrics-export-port=17005
    --min-worker-port=17010 --max-worker-port=17999
)
for word in "$@"; do [ "$word" = --head ] && options+=(--ray-client-server-port=17006); done
export AUTOSCALER_METRIC_PORT=17007 DASHBOARD_METRIC_PORT=17008

own_machines=$(python - <<'PYTHON'
import socket
from pathlib import Path

import yaml

provider = yaml.safe_load(Path("~/ray_bootstrap_config.yaml").expanduser().read_text())["provider"]
for machine in (provider["head_ip"], *provider["worker_ips"]):
    for address in sorted({found[4][0] for found in socket.getaddrinfo(machine, None)}):
        print("ip6" if ":" in address else "ip", "saddr", address, "accept")
PYTHON
)
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo -n)
"${as_root[@]}" nft -f - <<TABLE || {
add table inet renyi
delete table inet renyi
table inet renyi {
    chain input {
        type filter hook input priority filter; policy accept;
        ct state established,related accept
        iif lo accept
        $own_machines
        tcp dport { $closed } reject with tcp reset
    }
}
TABLE
    echo "$(hostname): ports $closed can't be closed to other machines: that needs the package nftables, and root or" \
        "sudo without a password. Where a firewall in front of the machines closes them, write \`ray start\` in place of" \
        "\`bash ~/renyi-sharpness/clusters/start_ray.sh\` in the launcher's file" >&2
    exit 2
}
exec ray start "${options[@]}" "$@"
