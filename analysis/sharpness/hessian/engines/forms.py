"""In which form the factor G of a parameter is kept, and what each form takes."""

import math
from enum import Enum

from analysis.sharpness.hessian.cost import EIGENVALUES, EngineCost
from analysis.sharpness.hessian.setting import Setting

GRAM_SHARE = 0.6  # of the products of a Gram matrix, what its lower half costs
PAIRS_SHARE = 0.5  # of the pairs of samples, those that are computed
MATRICES = 3  # of a Gram matrix's size that forming it and its eigenvalues hold


class Form(Enum):
    """What a store of a factor keeps."""

    ROWS = "rows"  # G itself, (r, n), r = N·R
    SUMMED = "summed"  # GᵀG (n, n), added up over samples
    IMPLICIT = "implicit"  # what the rows are made of: inputs and cotangents


def held_bytes(setting: Setting, name: str, form: Form) -> int:
    """What a store of all samples holds."""
    profile = setting.profile
    n = profile.sizes[name]
    if form is Form.SUMMED:
        return 2 * n * n * profile.itemsize
    shape = profile.shapes.get(name)
    if form is Form.ROWS or shape is None:
        return setting.num_rows * n * profile.itemsize
    return setting.problem.num_samples * (shape.inputs + setting.rank * shape.results) * profile.itemsize


def form_cost(setting: Setting, name: str, form: Form) -> EngineCost:
    """One forward pass, R backward ones down to the layer, and the products of this form."""
    profile, r, n = setting.profile, setting.num_rows, setting.profile.sizes[name]
    shape, small = profile.shapes.get(name), min(r, n)
    own, reach = profile.reach([name])
    multiplied = form is not Form.IMPLICIT or shape is None
    setup = 1 + setting.rank * (reach + own if multiplied else reach)
    if form is Form.SUMMED:
        setup, product, small = setup + profile.passes(GRAM_SHARE * r * n * n), float(n * n), n
    elif form is Form.ROWS or shape is None:
        product = 2.0 * r * n
    else:
        product = 2.0 * setting.problem.num_samples * (shape.macs + setting.rank * shape.results)
    gram = 0.0 if form is Form.SUMMED else gram_macs(setting, name, form, small)
    memory = held_bytes(setting, name, form)
    fits = memory + MATRICES * 8 * small**2 <= setting.memory
    exact = profile.passes(gram + EIGENVALUES * small**3) if fits else math.inf
    return EngineCost(setup, profile.passes(product), exact, memory)


def gram_macs(setting: Setting, name: str, form: Form, size: int) -> float:
    """Multiply-adds of GGᵀ, or of GᵀG where `size` is n."""
    r, n, shape = setting.num_rows, setting.profile.sizes[name], setting.profile.shapes.get(name)
    by_rows = GRAM_SHARE * r * n * size
    if form is not Form.IMPLICIT or shape is None:
        return by_rows
    by_rows += r * shape.macs  # which writes them
    by_pairs = PAIRS_SHARE * setting.problem.num_samples**2 * shape.pair_work(setting.rank)
    return min(by_rows, by_pairs) if size == r else by_rows


def is_small(setting: Setting, name: str) -> bool:
    """Whether GᵀG (n, n) is no larger than G, so that it is better added up over samples."""
    return setting.profile.sizes[name] <= setting.num_rows


def gram_form(setting: Setting, name: str) -> Form:
    """The form in which GGᵀ (r, r) is cheaper to get, of those that fit into memory."""
    if name not in setting.profile.shapes:
        return Form.ROWS
    r, profile = setting.num_rows, setting.profile

    def passes(form: Form) -> float:
        return form_cost(setting, name, form).setup + profile.passes(gram_macs(setting, name, form, r))

    forms = (Form.ROWS, Form.IMPLICIT)
    fitting = [form for form in forms if held_bytes(setting, name, form) <= setting.factor_memory]
    return min(fitting or [Form.IMPLICIT], key=passes)
