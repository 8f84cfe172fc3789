"""Which rule gets which parameter, and that a rule without any is told."""

from __future__ import annotations

import pytest
from torch import nn

from sslkit.engine.param_groups import parameter_groups
from sslkit.errors import UserError
from sslkit.recipe.settings import DEFAULT_PARAM_GROUPS, ParamRule


def net(bias: bool = True) -> nn.Module:
    layer = nn.ModuleDict({"norm": nn.LayerNorm(3, bias=bias), "fc": nn.Linear(3, 3, bias=bias)})
    return nn.ModuleDict({"backbone": layer, "predictor": nn.Linear(3, 2, bias=bias)})


def test_the_first_rule_that_matches_counts() -> None:
    student = net()
    groups = parameter_groups(student, {"mine": ParamRule(match="predictor.*", lr=10), **DEFAULT_PARAM_GROUPS})
    names = {id(parameter): name for name, parameter in student.named_parameters()}
    found: dict[tuple[float, float, bool], set[str]] = {}
    for group in groups:
        factors = group["lr_factor"], group["weight_decay_factor"], group["trust"]
        found.setdefault(factors, set()).update(names[id(parameter)] for parameter in group["params"])
    assert found == {
        (10, 1.0, True): {"predictor.weight", "predictor.bias"},
        (1.0, 1.0, True): {"backbone.fc.weight"},
        (1.0, 0.0, False): {"backbone.norm.bias", "backbone.fc.bias", "backbone.norm.weight"},
    }


@pytest.mark.parametrize(("rule", "hint"), [
    (ParamRule(match="predicter.*"), r"^param_groups\.mine\.match: no trainable parameter matches 'predicter\.\*'; did "
                                     r"you mean 'predictor\.\*'\?"),
    (ParamRule(match="*.biass"), r"did you mean '\*\.bias'"),
    (ParamRule(match="backbone.fc.wight"), "did you mean 'backbone.fc.weight'"),
    (ParamRule(match="xyz"), r"known: \*\.bias"),
    (ParamRule(match="predictor.weight", max_ndim=1), r"^param_groups\.mine\.max_ndim: .*they have 2 or more"),
    (ParamRule(match="*.norm.*", lr=2.0), r"^param_groups\.mine\.match: earlier rules \('one_dimensional', 'biases'\)"),
])  # fmt: skip
def test_a_rule_that_gets_no_parameter_is_told(rule: ParamRule, hint: str) -> None:
    with pytest.raises(UserError, match=hint):
        parameter_groups(net(), {**DEFAULT_PARAM_GROUPS, "mine": rule})


def test_frozen_parameters_are_in_no_group_and_satisfy_no_rule() -> None:
    student = net()
    student["predictor"].requires_grad_(False)
    assert sum(len(group["params"]) for group in parameter_groups(student, DEFAULT_PARAM_GROUPS)) == 4
    with pytest.raises(UserError, match="no trainable parameter matches"):
        parameter_groups(student, {"mine": ParamRule(match="predictor.*")})


def test_the_default_rules_may_get_nothing_but_a_changed_one_may_not() -> None:
    student = net(bias=False)
    assert len(parameter_groups(student, DEFAULT_PARAM_GROUPS)) == 2
    parameter_groups(student, {"all": ParamRule(), **DEFAULT_PARAM_GROUPS})
    with pytest.raises(UserError, match=r"param_groups\.biases\.match: no trainable"):
        parameter_groups(student, {"biases": ParamRule(match="*.bias", lr=2.0)})
