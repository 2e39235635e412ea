"""How a problem of a value is worded."""

from typing import Annotated

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from orchestrator.config.problems import say


def test_a_problem_has_what_is_wrong_and_the_value_without_the_validators_own_prefix() -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Annotated[int, Field(gt=0)]).validate_python(-3)
    assert say(caught.value.errors()[0]) == "should be greater than 0; got -3"
