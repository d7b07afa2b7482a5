import pytest
import torch

from vqcodec.training.config import OptimizerConfig, QuantizerConfig
from vqcodec.training.schedule import Gradual, WeightAverage, gradual, learning_rate, temperature

CONFIG = OptimizerConfig(warmup_steps=10, final_share=0.1)


def test_the_rate_warms_up_then_falls_along_a_cosine():
    rates = [learning_rate(step, 110, 1.0, CONFIG) for step in range(111)]
    assert rates[:10] == pytest.approx([0.1 * (step + 1) for step in range(10)])
    assert rates[10] == 1.0
    assert rates[60] == pytest.approx(0.55)
    assert rates[110] == pytest.approx(0.1)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_the_average_forgets_the_start_and_follows_the_weights():
    layer = torch.nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(100.0)
    average = WeightAverage(layer, 0.9)
    layer.weight.data.fill_(1.0)
    for step in range(200):
        average.update(layer, step)
    assert float(average.values["weight"]) == pytest.approx(1.0, abs=1e-3)
    layer.weight.data.fill_(5.0)
    average.restart(layer)
    assert float(average.values["weight"]) == 5.0


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        ("share", {0: (1.0, 1.0), 50: (0.55, 1.0), 100: (0.1, 1.0), 500: (0.1, 1.0)}),
        ("blend", {0: (0.1, 0.0), 50: (0.1, 0.5), 100: (0.1, 1.0), 500: (0.1, 1.0)}),
    ],
)
def test_quantization_sets_in_gradually(way, expected):
    config = QuantizerConfig(gradual=way, gradual_steps=100, unquantized=0.1)
    for steps, (unquantized, blend) in expected.items():
        now = gradual(steps, config)
        assert (now.unquantized, now.blend) == (pytest.approx(unquantized), blend)


def test_without_gradual_steps_it_is_there_at_once():
    assert gradual(0, QuantizerConfig(unquantized=0.2)) == Gradual(0.2, 1.0)


def test_the_temperature_falls_by_equal_factors():
    config = QuantizerConfig(temperature=(1.0, 0.01))
    values = [temperature(progress, config) for progress in (0, 0.5, 1, 2)]
    assert values == pytest.approx([1.0, 0.1, 0.01, 0.01])
