from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from perception_models.losses import TASKS, LossConfig
from perception_models.losses.balancing import BalanceConfig, Balancer, agreement, gradients, project
from perception_models.network import PerceptionNet, of_size
from perception_models.training.build import TrainingModule
from perception_models.training.config import OptimizerConfig
from perception_models.training.optimization.optimizer import build_optimizer

METHODS = Balancer.METHODS


def balancer(method: str, **settings: object) -> Balancer:
    return Balancer(BalanceConfig(method=method, **settings))


def losses(**values: float) -> dict[str, torch.Tensor]:
    return {task: torch.tensor(value, requires_grad=True) for task, value in values.items()}


def weights(chosen: Balancer, **values: float) -> dict[str, float]:
    """What each loss is multiplied with: the gradient of the total by it."""
    given = losses(**values)
    chosen.total(given).backward()
    return {task: float(loss.grad) for task, loss in given.items()}


def test_fixed_weights_multiply_and_0_leaves_a_task_out():
    chosen = balancer("fixed", weights={"objects": 2.0, "scene": 0.0})
    weighted = chosen.weighted(losses(objects=3.0, drivable=1.0, scene=9.0))
    assert {task: loss.item() for task, loss in weighted.items()} == {"objects": 6, "drivable": 1}
    assert chosen.total(weighted).item() == 7


@pytest.mark.parametrize(
    ("settings", "message"), [({"method": "magic"}, "fixed, uncertainty"), ({"weights": {"lane": 1.0}}, "known are")]
)
def test_unknown_names_are_an_error(settings, message):
    with pytest.raises(ValueError, match=message):
        Balancer(BalanceConfig(**settings))


def test_uncertainty_converges_to_the_variance_of_the_paper():
    """For a loss L that stays, exp(-s) L + s is least at s = log L, where the weight is 1 / L."""
    chosen, given = balancer("uncertainty"), {"objects": 5.0, "lanes": 0.2}
    optimizer = torch.optim.SGD(chosen.parameters(), 0.3)
    for _ in range(80):
        optimizer.zero_grad()
        chosen.total(losses(**given)).backward()
        optimizer.step()
    for task, value in given.items():
        assert chosen.log_variance[TASKS.index(task)].item() == pytest.approx(math.log(value), abs=1e-3)
    assert weights(chosen, **given) == pytest.approx({task: 1 / value for task, value in given.items()}, rel=1e-2)
    silent = [i for i, task in enumerate(TASKS) if task not in given]
    assert not chosen.log_variance[silent].any()


def test_uwso_is_a_softmax_of_the_inverse_loss():
    got = weights(balancer("uwso", temperature=2.0), objects=4.0, lanes=0.5)
    fraction = math.exp(0.5 / 0.5) / (math.exp(0.5 / 0.5) + math.exp(0.25 / 2))
    assert got == pytest.approx({"lanes": 2 * fraction, "objects": 2 * (1 - fraction)}, rel=1e-5)


def test_dwa_reduces_the_weight_of_a_fast_falling_task():
    chosen = balancer("dwa", temperature=0.5)
    assert weights(chosen, objects=4.0, lanes=1.0) == pytest.approx({"objects": 1, "lanes": 1})
    for step in range(60):
        got = weights(chosen, objects=4.0, lanes=0.95**step)
    assert got["objects"] > 1.1
    assert got["objects"] + got["lanes"] == pytest.approx(2)
    pace = [(chosen.fast / chosen.slow)[TASKS.index(task)].item() for task in ("objects", "lanes")]
    fraction = math.exp(pace[0] / 0.5) / sum(math.exp(p / 0.5) for p in pace)
    assert got["objects"] == pytest.approx(2 * fraction, rel=1e-5)


def follow(alpha: float, steps: int = 300) -> tuple[Balancer, torch.Tensor]:
    """gradnorm on two tasks of one shared weight, one 50 times as steep: factors and weighted gradient norms."""
    chosen, shared = balancer("gradnorm", alpha=alpha), nn.Parameter(torch.tensor([1.0, 2.0]))
    for step in range(steps):
        slow, fast = 50 * shared.sum(), shared.sum() - 2.9 + 3 * 0.98**step  # 150 all the time; 3.1 down to 0.1
        chosen.total({"objects": slow, "lanes": fast}, shared)
    rows = [TASKS.index("objects"), TASKS.index("lanes")]
    return chosen, chosen.factors[rows] * gradients([slow, fast], [shared]).norm(dim=1)


def test_gradnorm_equalises_gradient_norms():
    chosen, norms = follow(alpha=0.0)
    assert norms[0].item() == pytest.approx(norms[1].item(), rel=1e-2)
    assert chosen.factors.sum().item() == pytest.approx(len(TASKS), rel=1e-4)


def test_gradnorm_favours_the_slow_task():
    _, even = follow(alpha=0.0)
    _, pushed = follow(alpha=1.0)
    assert pushed[0] / pushed[1] > 2 * even[0] / even[1]


@pytest.mark.parametrize("method", METHODS)
def test_a_task_without_labels_in_the_batch_changes_no_weight(method):
    """Its loss is 0, which must not count as perfect."""
    shared = nn.Parameter(torch.ones(2))
    plain, more = balancer(method), balancer(method)
    for _ in range(3):
        two = {"objects": 3 * shared.sum(), "lanes": 1.5 * shared.square().sum()}
        wanted = plain.total(two, shared)
        got = more.total({**two, "semantic": 0 * shared.sum()}, shared)
        torch.testing.assert_close(got, wanted)
    assert torch.autograd.grad(more.total({"semantic": 0 * shared.sum()}, shared), [shared])[0].tolist() == [0, 0]
    for name, value in more.state_dict().items():
        torch.testing.assert_close(value, plain.state_dict()[name])


# --- gradients


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([[1.0, 0.0], [0.0, 1.0]], [1.0, 1.0]),  # nothing to agree on
        ([[1.0, 0.0], [1.0, 1.0]], [2.0, 1.0]),  # agreement
        ([[1.0, 0.0], [-1.0, 1.0]], [0.5, 1.5]),  # conflict: (1/2, 1/2) + (0, 1)
        ([[2.0, 0.0], [-1.0, 0.0]], [0.0, 0.0]),  # opposites leave nothing
    ],
)
def test_pcgrad_projects_away_conflicts(rows, wanted):
    torch.testing.assert_close(project(torch.tensor(rows), [0, 1]), torch.tensor(wanted))
    torch.testing.assert_close(project(torch.tensor(rows), [1, 0]), torch.tensor(wanted))


def test_pcgrad_projects_onto_the_original_gradients():
    rows, order = torch.randn(4, 6, generator=torch.Generator().manual_seed(0)), [2, 0, 3, 1]
    wanted = torch.zeros(6)
    for i in range(4):
        mine = rows[i].clone()
        for j in order:
            if j != i and torch.dot(mine, rows[j]) < 0:
                mine = mine - torch.dot(mine, rows[j]) / torch.dot(rows[j], rows[j]) * rows[j]
        wanted += mine
    torch.testing.assert_close(project(rows, order), wanted)


def test_cosines_between_tasks_are_those_of_their_gradients():
    shared = nn.Parameter(torch.tensor([1.0, 1.0]))
    metrics = agreement({"objects": 2 * shared[0], "lanes": shared[1] - shared[0], "scene": -shared[0]}, shared)
    assert metrics["norm/objects"] == pytest.approx(2)
    assert metrics["cosine/objects-lanes"] == pytest.approx(-(0.5**0.5))
    assert metrics["cosine/objects-scene"] == pytest.approx(-1)
    assert metrics["cosine/lanes-scene"] == pytest.approx(0.5**0.5)


# --- on the network


def learner(method: str) -> TrainingModule:
    torch.manual_seed(0)
    net = PerceptionNet(of_size("t"))
    return TrainingModule(net, balancer(method, weights={"scene": 0.5}), LossConfig())


def test_pcgrad_fills_the_gradients_of_all_weights(drawn_batch):
    """Two tasks, by hand: heads keep their own gradient, what is shared gets the projected sum."""
    chosen, tasks = learner("pcgrad"), ("drivable", "scene")
    chosen.projected_gradients(drawn_batch, tasks, number=3)
    got = {name: p.grad.clone() for name, p in chosen.net.named_parameters()}
    other = learner("pcgrad")
    counting = [loss for task, loss in other.losses(drawn_batch).items() if task in tasks]
    parameters = dict(other.net.named_parameters())
    a, b = gradients(counting, list(parameters.values()))
    dot = a @ b
    wanted = a + b if dot >= 0 else a - dot / (b @ b) * b + b - dot / (a @ a) * a
    for (name, parameter), part in zip(parameters.items(), wanted.split([p.numel() for p in parameters.values()])):
        torch.testing.assert_close(got[name], part.view_as(parameter), msg=name, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains(method, drawn_batch):
    chosen = learner(method)
    chosen.train()
    optimizer = build_optimizer(chosen, OptimizerConfig(lr=0.003))
    plain = []
    for number in range(8):
        if method == "pcgrad":
            values = chosen.projected_gradients(drawn_batch, TASKS, number)
        else:
            total, values, _ = chosen(drawn_batch, TASKS)
            total.backward()
        optimizer.step()
        optimizer.zero_grad()
        plain.append(sum(values.values()).item())
        assert math.isfinite(plain[-1])
    assert plain[-1] < 0.8 * plain[0]
    fresh = balancer(method).state_dict()
    moved = {name for name, value in chosen.balancer.state_dict().items() if not torch.equal(value, fresh[name])}
    expected = {"uncertainty": {"log_variance"}, "dwa": {"slow", "fast"}, "gradnorm": {"factors", "first"}}
    assert moved == expected.get(method, set())
