"""What the engine does when a part or a number goes wrong: nothing moves, and the message names who."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import sslkit
from launched import Launched
from sslkit.data.batch import Batch
from sslkit.engine.build import Length, build_run
from sslkit.engine.hooks import Acting
from sslkit.engine.precision import Precision
from sslkit.engine.run import Run
from sslkit.engine.step import training_step
from sslkit.errors import RunError, UserError
from sslkit.parts import Loss, LossTerms, Outputs, Position, TeacherRule, Views
from sslkit.plugins.manager import load_registry
from sslkit.plugins.registry import Registrar, Registry
from sslkit.recipe.load import load_recipe
from sslkit.recipe.overrides import Override
from tiny_run import TINY_VIT


def built(**overrides: object) -> Run:
    chosen = [Override(key.replace("__", "."), value) for key, value in overrides.items()]
    return build_run(load_recipe(TINY_VIT, chosen), Length(5, 10), 10, torch.device("cpu"))


def batch() -> Batch:
    pixels = torch.randint(0, 256, (2, 4, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return Batch({16: pixels}, torch.arange(4), None)


def state(run: Run) -> dict[str, Tensor]:
    found = {f"{name}/{key}": t.clone() for name, m in run.modules().items() for key, t in m.state_dict().items()}
    for index, slot in enumerate(run.optimizer.state.values()):
        found |= {f"optimizer/{index}/{key}": torch.as_tensor(value).clone() for key, value in slot.items()}
    return found


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def poison(run: Run, value: float) -> None:
    """Let one weight's gradient be ``value``, under a finite loss."""
    weight = run.student.head.mlp[0].weight
    weight.register_hook(lambda gradient: torch.full_like(gradient, value))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_non_finite_gradient_moves_nothing(value: float) -> None:
    run = built()
    training_step(run, batch(), Position(0, 10, 5))
    before = state(run)
    poison(run, value)
    with pytest.raises(RunError, match="a gradient is not finite at step 1"):
        training_step(run, batch(), Position(1, 10, 5))
    assert same(before, state(run))


def test_a_non_finite_loss_moves_nothing() -> None:
    run = built()
    before = state(run)
    with torch.no_grad():
        run.losses["dino"].center.fill_(float("nan"))
    with pytest.raises(RunError, match="the loss is not finite at step 0"):
        training_step(run, batch(), Position(0, 10, 5))
    after = state(run)
    assert after["losses.dino/center"].isnan().all()
    del before["losses.dino/center"], after["losses.dino/center"]
    assert same(before, after)


def test_what_a_hook_makes_of_a_gradient_is_checked_too() -> None:
    run = built()

    class Poison:
        @sslkit.hookimpl
        def before_step(self, student: torch.nn.Module) -> None:
            next(student.parameters()).grad.fill_(float("nan"))  # type: ignore[union-attr]

    run.acting = Acting({"the head 'poison'": Poison()})
    before = state(run)
    with pytest.raises(RunError, match="a gradient is not finite at step 0"):
        training_step(run, batch(), Position(0, 10, 5))
    assert same(before, state(run))


def test_fp16_scale_grows_only_after_a_whole_interval_of_good_steps() -> None:
    scaler = (precision := Precision("fp16", torch.device("cpu"))).scaler
    scaler = precision.scaler = torch.amp.GradScaler("cpu", growth_interval=3)
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], 0.0)

    def good() -> float:
        weight.grad = None
        precision.backward(weight.sum())
        precision.unscale(optimizer)
        precision.grow()
        return float(scaler.get_scale())

    first = good()
    good()
    weight.grad = None
    precision.backward(weight.sum() * float("inf"))
    precision.unscale(optimizer)
    precision.back_off()
    assert [good(), good(), good()] == [first / 2, first / 2, first]


def test_fp16_backs_off_where_only_a_gradient_is_not_finite_and_ends_at_the_smallest_scale() -> None:
    run = built(train__precision="fp16")
    run.precision.dtype = torch.bfloat16  # what is tested is the scaler: not every CPU has fast fp16
    poison(run, float("inf"))
    before, scale = state(run), run.precision.scaler.get_scale()
    report = training_step(run, batch(), Position(0, 10, 5))
    assert report.numbers["back_offs"] == 1
    assert run.precision.scaler.get_scale() == scale / 2
    assert same(before, state(run))
    while run.precision.scaler.get_scale() > 1:
        training_step(run, batch(), Position(1, 10, 5))
    with pytest.raises(RunError, match="smallest loss scale"):
        training_step(run, batch(), Position(1, 10, 5))


def test_a_failing_loss_is_named() -> None:
    run = built()

    def broken(*_: object) -> None:
        raise KeyError("oops")

    run.losses["dino"].forward = broken  # type: ignore[method-assign]
    with pytest.raises(RunError, match="the loss 'dino' failed at step 3: KeyError: 'oops'"):
        training_step(run, batch(), Position(3, 10, 5))


def test_a_failing_net_is_named() -> None:
    run = built()

    def broken(*_: object) -> None:
        raise ValueError("boom")

    run.student.head.forward = broken  # type: ignore[union-attr, method-assign]
    with pytest.raises(RunError, match="the student failed at step 0: ValueError: boom"):
        training_step(run, batch(), Position(0, 10, 5))


class Temperature(Loss):
    """Learns a temperature."""

    def __init__(self) -> None:
        super().__init__()
        self.temperature = torch.nn.Parameter(torch.ones(()))

    def forward(self, student: Outputs, teacher: Outputs | None, views: Views, at: Position) -> LossTerms:
        raise AssertionError("never built")


class Acts(TeacherRule):
    """Has a misspelt hook."""

    def update(self, teacher: torch.nn.Module, student: torch.nn.Module, at: Position) -> None:
        """Nothing."""

    @sslkit.hookimpl
    def befor_step(self) -> None:
        """Never fires."""


def test_what_would_be_ignored_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(list(load_registry().parts))
    registrar = Registrar(registry, "strange", "strange 1")
    registrar.loss("temperature", Temperature)
    registrar.teacher("acts", Acts)

    def build(**changes: object) -> Run:
        return build_run(load_recipe({**TINY_VIT, **changes}, (), registry), Length(5, 10), 10, torch.device("cpu"))

    with pytest.raises(UserError, match="has the parameter 'temperature', which nothing would train"):
        build(loss={"name": "temperature"})
    with pytest.raises(UserError, match="the teacher rule 'acts' implements a run hook 'befor_step'.*'before_step'"):
        build(teacher={"name": "acts"})


def test_the_step_reads_the_device_once(monkeypatch: pytest.MonkeyPatch) -> None:
    run = built()
    training_step(run, batch(), Position(0, 10, 5))
    reads: list[str] = []
    for name in ("item", "tolist", "__bool__", "__float__"):
        original = getattr(Tensor, name)
        monkeypatch.setattr(
            Tensor, name, lambda self, *a, _o=original, _n=name, **k: (reads.append(_n), _o(self, *a, **k))[1]
        )
    training_step(run, batch(), Position(1, 10, 5))
    assert reads == ["tolist"]


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "lars"])
@pytest.mark.parametrize("rule", ["ema", "polyak", "student_copy"])
def test_no_kernels_are_launched_parameter_by_parameter(optimizer: str, rule: str) -> None:
    counts = []
    for depth in (1, 4):
        run = built(
            backbone__depth=depth, optimizer={"name": optimizer}, clip={"name": "per_tensor"}, teacher={"name": rule}
        )
        training_step(run, batch(), Position(0, 10, 5))
        at = Position(1, 10, 5)
        views = run.views(batch())
        terms = run.terms(run.outputs(views, at), run.targets(views, at), views, at)
        run.total(terms).backward()
        with Launched() as launched:
            norms = run.clip_gradients()
            assert run.guard.passes(torch.zeros(()), torch.cat([norms, run.gradient_norms()]), at)
            run.optimizer.step()
            run.move_teacher(at)
            run.commit([terms], at)
        counts.append(launched.count)
    # four times the blocks, and not one launch more
    assert counts[0] == counts[1]


def test_a_head_that_no_loss_reads_is_refused() -> None:
    with pytest.raises(UserError, match="no loss reads the outputs of 'mlp'"):
        built(predictor={"name": "mlp", "hidden_dim": 8, "out_dim": 16}, loss={"name": "ntxent"})


def test_what_a_loss_needs_must_be_there() -> None:
    with pytest.raises(UserError, match=r"the loss 'dino' needs teacher, and the recipe has no teacher"):
        built(teacher=None)
    with pytest.raises(UserError, match="head"):
        built(head=None)


def test_slots_are_seeded_apart() -> None:
    one, other = built(), built(head__out_dim=32)
    weights, others = one.student.backbone.state_dict(), other.student.backbone.state_dict()
    assert same(weights, others)
    assert not same(weights, built(seed=1).student.backbone.state_dict())
