"""The recurrent decoder: stepped by ONNX Runtime against PyTorch on the whole clip; its memory; what is no network."""

import pickle

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from valaro.models.decoders.base import HOPS_PER_EMISSION, MELS, Evidence
from valaro.models.decoders.lstm import INPUTS, LSTM, OUTPUTS, LSTMState
from valaro.models.features import texture
from valaro.models.grid import CELLS
from valaro.models.training.fit.network import CONTEXT, Network, exported

from ..synthetic_bundle import random_evidence, synthetic_lstm

EMISSIONS = 14


@pytest.fixture(scope="module")
def network() -> Network:
    """Random weights, and norms that have seen something: those of a new network would do nothing."""
    torch.manual_seed(4)
    network = Network(moods=5, feelings=9, dropout=0.4)
    with torch.no_grad():
        network.heatmap.weight *= 10
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean += 0.3 * torch.randn_like(module.running_mean)
                module.running_var *= 1 + torch.rand_like(module.running_var)
        network.front.levels.running_mean -= 5  # pyright: ignore[reportOperatorIssue]
    return network.eval()


@pytest.fixture(scope="module")
def decoder(network: Network) -> LSTM:
    return LSTM(exported([network]))


@pytest.fixture(scope="module")
def heard() -> list[Evidence]:
    return random_evidence(EMISSIONS)


def streamed(decoder: LSTM, heard: list[Evidence], state: LSTMState | None = None) -> NDArray[np.float64]:
    rows, state = [], state or decoder.init()
    for evidence in heard:
        state, log_heatmap = decoder.step(state, evidence)
        rows.append(log_heatmap)
    return np.stack(rows)


def at_once(network: Network, heard: list[Evidence]) -> NDArray[np.float64]:
    """The network as it is trained: the whole clip in one go."""
    log_mel = torch.from_numpy(np.concatenate([each.log_mel for each in heard])[None])
    textures = torch.from_numpy(np.stack([each.texture for each in heard])[None])
    with torch.no_grad():
        logits = network(log_mel, textures)["heatmap"][0]
    return torch.log_softmax(logits.double(), dim=-1).numpy()


def test_half_a_second_at_a_time_is_the_whole_clip_at_once(
    network: Network, decoder: LSTM, heard: list[Evidence]
) -> None:
    whole = at_once(network, heard)
    np.testing.assert_allclose(streamed(decoder, heard), whole, atol=1e-5)
    assert np.ptp(whole, axis=0).max() > 0.1  # it is no constant that was compared


def test_two_networks_in_one_graph_are_the_mean_of_their_log_heatmaps(network: Network, heard: list[Evidence]) -> None:
    torch.manual_seed(9)
    other = Network(moods=5, feelings=9, dropout=0.4).eval()
    mean = (at_once(network, heard) + at_once(other, heard)) / 2
    expected = mean - np.log(np.exp(mean).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(streamed(LSTM(exported([network, other])), heard), expected, atol=1e-5)


def test_each_log_heatmap_is_finite_and_normalised(decoder: LSTM, heard: list[Evidence]) -> None:
    rows = streamed(decoder, heard)
    assert rows.shape == (EMISSIONS, CELLS)
    assert rows.dtype == np.float64
    assert np.isfinite(rows).all()
    np.testing.assert_allclose(np.exp(rows).sum(axis=1), 1.0, rtol=1e-12)


def test_each_of_its_memories_matters(decoder: LSTM, heard: list[Evidence]) -> None:
    state = decoder.init()
    for evidence in heard[:-1]:
        state, _ = decoder.step(state, evidence)
    _, known = decoder.step(state, heard[-1])
    new = decoder.init()
    for forgotten in (new, state._replace(context=None), state._replace(h=new.h), state._replace(c=new.c)):
        _, told = decoder.step(forgotten, heard[-1])
        assert np.abs(told - known).max() > 1e-3


def test_the_context_is_the_last_hops_heard(decoder: LSTM, heard: list[Evidence]) -> None:
    state = decoder.init()
    for evidence in heard[:3]:
        state, _ = decoder.step(state, evidence)
    assert state.context is not None
    np.testing.assert_array_equal(state.context[0], np.concatenate([each.log_mel for each in heard[:3]])[-CONTEXT:])


def test_a_reset_repeats_bit_for_bit(decoder: LSTM, heard: list[Evidence]) -> None:
    first = streamed(decoder, heard)
    np.testing.assert_array_equal(streamed(decoder, heard), first)
    state, _ = decoder.step(decoder.init(), heard[5])
    assert np.abs(streamed(decoder, heard, state) - first).max() > 1e-3


def test_it_goes_to_another_process_and_says_the_same_there(decoder: LSTM, heard: list[Evidence]) -> None:
    first = streamed(decoder, heard)  # its session is open now, which cannot go
    np.testing.assert_array_equal(streamed(pickle.loads(pickle.dumps(decoder)), heard), first)


def test_the_state_given_is_left_as_it_was(decoder: LSTM, heard: list[Evidence]) -> None:
    state, _ = decoder.step(decoder.init(), heard[0])
    before = [np.array(part) for part in state]
    _, told = decoder.step(state, heard[1])
    for part, copy in zip(state, before, strict=True):
        np.testing.assert_array_equal(part, copy)
    np.testing.assert_array_equal(decoder.step(state, heard[1])[1], told)


def test_evidence_is_left_as_it_was_and_need_not_be_contiguous(decoder: LSTM, heard: list[Evidence]) -> None:
    one = heard[0]
    wide = np.zeros((HOPS_PER_EMISSION, 2 * MELS), np.float32)
    wide[:, ::2] = one.log_mel
    strided = one._replace(log_mel=wide[:, ::2])
    np.testing.assert_array_equal(streamed(decoder, [strided]), streamed(decoder, [one]))
    np.testing.assert_array_equal(wide[:, ::2], one.log_mel)


def learnt(network: Network) -> int:
    """How many numbers the exported part of the network has learnt."""
    teaching = ("teacher", "moods", "feelings")
    return int(sum(np.prod(p.shape) for name, p in network.named_parameters() if name.split(".")[0] not in teaching))


def test_a_network_is_small_enough_for_a_laptop(network: Network, decoder: LSTM) -> None:
    assert 1e5 < learnt(network) < 4e6
    # What is only for teaching (200 + 5 + 9 outputs) is not in the file.
    graph = onnx.load_model_from_string(decoder.model).graph
    exported_numbers = sum(int(np.prod(each.dims)) for each in graph.initializer)
    assert exported_numbers < 1.1 * learnt(network)


@pytest.mark.parametrize("model", [b"", b"no graph", b"\x08\x08" * 50])
def test_bytes_that_are_no_graph_are_refused(model: bytes) -> None:
    with pytest.raises(ValueError, match="the network cannot be read") as caught:
        LSTM(model)
    assert "\n" not in str(caught.value)


def test_half_a_file_is_refused() -> None:
    whole = synthetic_lstm().model
    with pytest.raises(ValueError, match="the network cannot be read") as caught:
        LSTM(whole[: len(whole) // 2])
    assert "\n" not in str(caught.value)


Shapes = dict[str, tuple[int, ...]]
GIVEN: Shapes = {
    "log_mel": (1, HOPS_PER_EMISSION, MELS),
    "context": (1, CONTEXT, MELS),
    "texture": (1, texture.SIZE),
    "h": (1, 1, 4),
    "c": (1, 1, 4),
}
RESULTS: Shapes = {"logits": (1, CELLS), "next_context": (1, CONTEXT, MELS), "next_h": (1, 1, 4), "next_c": (1, 1, 4)}


def constant(inputs: Shapes, outputs: Shapes) -> bytes:
    """A graph of these inputs that says 0 for all its outputs."""
    nodes, weights = [], []
    for name, shape in outputs.items():
        weights.append(helper.make_tensor(f"{name}_0", TensorProto.FLOAT, shape, np.zeros(int(np.prod(shape)))))
        nodes.append(helper.make_node("Identity", [f"{name}_0"], [name]))
    described = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in each.items()]
        for each in (inputs, outputs)
    )
    graph = helper.make_graph(nodes, "constant", *described, initializer=weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()


def test_a_graph_of_the_right_shapes_is_taken(heard: list[Evidence]) -> None:
    assert tuple(GIVEN) == INPUTS
    assert tuple(RESULTS) == OUTPUTS
    np.testing.assert_allclose(streamed(LSTM(constant(GIVEN, RESULTS)), heard[:2]), -np.log(CELLS))


@pytest.mark.parametrize(
    ("inputs", "outputs", "told"),
    [
        ({name: shape for name, shape in GIVEN.items() if name != "h"}, RESULTS, "inputs"),
        ({"log_mel": GIVEN["log_mel"], "x": (1, 3)}, RESULTS, "inputs"),
        (GIVEN | {"log_mel": (1, HOPS_PER_EMISSION, MELS - 1)}, RESULTS, "inputs"),
        (GIVEN | {"texture": (1, texture.SIZE + 1)}, RESULTS, "inputs"),
        (GIVEN, {"logits": (1, CELLS)}, "outputs"),
        (GIVEN, RESULTS | {"logits": (1, CELLS - 1)}, "outputs"),
        (GIVEN, RESULTS | {"next_h": (1, 1, 5)}, "memory"),
        (GIVEN | {"context": (1, CONTEXT, MELS + 1)}, RESULTS, "memory"),
        (GIVEN | {"context": (1, 5, 9)}, RESULTS | {"next_context": (1, 5, 9)}, "memory"),
    ],
)
def test_a_graph_of_other_shapes_is_refused(inputs: Shapes, outputs: Shapes, told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        LSTM(constant(inputs, outputs))
    assert "\n" not in str(caught.value)


def test_a_memory_of_no_fixed_shape_is_refused() -> None:
    loose: dict[str, object] = {**GIVEN, "h": (1, "batch", 4)}
    with pytest.raises(ValueError, match="memory"):
        LSTM(constant(loose, RESULTS))  # pyright: ignore[reportArgumentType]
