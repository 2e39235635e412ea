import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.address import names_a_host, same_server, without_secrets


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://me:secret@host/db", "postgresql://***@host/db"),
        ("postgresql+psycopg://me:se/cr@et@host:5432/db", "postgresql+psycopg://***@host:5432/db"),
        ("postgresql://me:se?cret@host/db", "postgresql://***@host/db"),
        (
            "postgresql://host/db?user=me&password=secret&sslmode=require",
            "postgresql://host/db?user=***&password=***&sslmode=require",
        ),
        ("mysql://me:12/3@host/db", "mysql://***@host/db"),
        ("http://TOKEN@host:5000", "http://***@host:5000"),
        ("https://me:se/cret@host/path", "https://***@host/path"),
        ("s3://key:secret@bucket/a?region=x&session_token=abc", "s3://***@bucket/a?region=x&session_token=***"),
        ("https://account.blob/c?sv=1&sig=abc", "https://account.blob/c?sv=***&sig=***"),
        ("http://host:5000", "http://host:5000"),
        ("http://host:5000/runs@v2", "http://host:5000/runs@v2"),
        ("http://[::1]:5000/a@b", "http://[::1]:5000/a@b"),
        ("s3://bucket/runs@v2/x", "s3://bucket/runs@v2/x"),
        ("abfs://container@account.dfs.core.windows.net/x", "abfs://container@account.dfs.core.windows.net/x"),
        ("abfs://:secret@account/x", "abfs://***@account/x"),
        ("sqlite:////data/a@b:c@d.db", "sqlite:////data/a@b:c@d.db"),
        ("/a/path?password=x", "/a/path?password=x"),
        (
            "`renyi run --tracking 'http://T@h'` can't ask http://u:p@h/x",
            "`renyi run --tracking 'http://***@h'` can't ask http://***@h/x",
        ),
    ],
)
def test_no_user_and_no_secret_is_shown(address: str, shown: str) -> None:
    assert without_secrets(address) == shown
    assert without_secrets(shown) == shown


PASSWORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)


@given(PASSWORDS)
def test_no_password_of_a_database_is_shown_whatever_is_in_it(password: str) -> None:
    hidden = f"§{password}§"  # in the address nowhere else
    assert "§" not in without_secrets(f"postgresql://me:{hidden}@host:5432/db")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("/data/x", False),
        ("file:///data/x", False),
        ("s3://bucket/key", False),
        ("gs://bucket/key@x", False),
        ("s3://bucket/key?endpoint_override=evil", True),
        ("s3://a:b@bucket/key", True),
        ("http://host/x", True),
        ("abfs://container@account.example/x", True),
        ("hdfs://host:9000/x", True),
        ("runs:/x", False),
    ],
)
def test_whom_an_address_gives_credentials(address: str, expected: bool) -> None:
    assert names_a_host(address) is expected


def test_servers_are_compared_by_host_and_port() -> None:
    assert same_server("http://host:5000", "mlflow-artifacts://host:5000/1/x")
    assert not same_server("http://host:5000", "mlflow-artifacts://other:5000/1/x")
    assert not same_server("http://host:5000", "http://[")
