from orchestrator.executors.ray.circuit_breaker import CircuitBreaker


def test_three_different_trials_in_a_row_make_a_node_suspect() -> None:
    breaker = CircuitBreaker()
    assert [breaker.failed("bad", trial) for trial in ("a", "b", "c")] == [False, False, True]
    assert breaker.blamed("bad") == ["a", "b", "c"]


def test_one_trial_that_fails_again_and_again_is_its_own_fault() -> None:
    breaker = CircuitBreaker()
    assert not any(breaker.failed("node", "a") for _ in range(5))


def test_a_success_ends_the_row() -> None:
    breaker = CircuitBreaker()
    for trial in ("a", "b"):
        breaker.failed("node", trial)
    breaker.succeeded("node")
    assert not breaker.failed("node", "c")


def test_nodes_are_judged_apart() -> None:
    breaker = CircuitBreaker()
    assert not any(breaker.failed(node, trial) for node, trial in zip("xyz", "abc", strict=True))


def test_trials_that_fail_elsewhere_too_take_no_second_node_and_acquit_the_first() -> None:
    breaker = CircuitBreaker()
    for trial in ("a", "b"):
        breaker.failed("first", trial)
    assert not any(breaker.failed("second", trial) for trial in ("a", "b"))
    assert not breaker.failed("first", "c")
    assert breaker.blamed("first") == ["c"]
    assert breaker.blamed("second") == []
