"""What the terminal shows. `terminal` has how lines get there; the other files what they say."""

from orchestrator.display.catalogue import show_measures as show_measures
from orchestrator.display.catalogue import show_sweep as show_sweep
from orchestrator.display.catalogue import show_sweeps as show_sweeps
from orchestrator.display.endings import MAX_FAILURES_SHOWN as MAX_FAILURES_SHOWN
from orchestrator.display.endings import show_avoided as show_avoided
from orchestrator.display.endings import show_damages as show_damages
from orchestrator.display.endings import show_derived as show_derived
from orchestrator.display.endings import show_failures as show_failures
from orchestrator.display.endings import show_interruption as show_interruption
from orchestrator.display.endings import show_pending as show_pending
from orchestrator.display.endings import show_stop as show_stop
from orchestrator.display.endings import show_tracking_recovery as show_tracking_recovery
from orchestrator.display.endings import show_tracking_trouble as show_tracking_trouble
from orchestrator.display.endings import show_warning as show_warning
from orchestrator.display.endings import show_work as show_work
from orchestrator.display.plan import show_data as show_data
from orchestrator.display.plan import show_plan as show_plan
from orchestrator.display.progress import SweepProgress as SweepProgress
from orchestrator.display.status import show_status as show_status
from orchestrator.display.terminal import announced as announced
from orchestrator.display.terminal import console as console
from orchestrator.display.terminal import say as say
from orchestrator.display.terminal import stderr_console as stderr_console
from orchestrator.display.verdict import show_comparison as show_comparison
from orchestrator.display.verdict import show_verdict as show_verdict
