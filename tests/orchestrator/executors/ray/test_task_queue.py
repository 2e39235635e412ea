from orchestrator.executors.ray.task_queue import TaskQueue

ENDS_ITS_TRIAL = float("inf")


def queue() -> TaskQueue[str]:
    tasks: TaskQueue[str] = TaskQueue()
    for name, arrival, seconds in (("b1", 1, 5.0), ("a1", 0, 2.0), ("a2", 0, 3.0), ("b2", 1, 9.0)):
        tasks.put(name, arrival, seconds)
    return tasks


def drained(tasks: TaskQueue[str], longest: bool) -> list[str]:
    return [tasks.get(longest) for _ in range(len(tasks))]


def test_one_trial_after_the_other_or_the_longest_task_first() -> None:
    assert drained(queue(), longest=False) == ["a2", "a1", "b2", "b1"]
    assert drained(queue(), longest=True) == ["b2", "b1", "a2", "a1"]


def test_what_ends_a_trial_goes_first_and_equal_tasks_in_the_order_of_arrival() -> None:
    tasks = queue()
    tasks.put("b end", 1, ENDS_ITS_TRIAL)
    assert tasks.get(longest=True) == "b end"
    equal: TaskQueue[str] = TaskQueue()
    for number in (2, 0, 1):
        equal.put(str(number), number, 1.0)
    assert drained(equal, longest=True) == ["0", "1", "2"]


def test_both_orders_may_be_asked_for_in_turn_and_nothing_is_got_twice() -> None:
    tasks = queue()
    got = [tasks.get(longest) for longest in (True, False, True, False)]
    assert got == ["b2", "a2", "b1", "a1"]
    assert len(tasks) == 0


def test_the_seconds_of_what_waits_are_known() -> None:
    tasks = queue()
    tasks.put("end", 0, ENDS_ITS_TRIAL)
    assert tasks.seconds == 19
    drained(tasks, longest=False)
    assert tasks.seconds == 0
