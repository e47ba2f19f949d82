"""Policy documents from Python."""

import pickle

import pytest

import rampmeter
from rampmeter import Policy

CHAT = """
[[class]]
name = "chat"
ttft_target_s = 1.5

[[account]]
name = "research"
weight = 2.0
"""


@pytest.mark.parametrize("preset", ["interactive", "balanced", "throughput"])
def test_documents_come_back(preset):
    policy = Policy(preset)
    assert Policy.from_toml(policy.to_toml()) == policy
    assert Policy.from_toml(policy.to_toml(comments=True)) == policy
    assert Policy.from_json(policy.to_json()) == policy
    assert pickle.loads(pickle.dumps(policy)) == policy
    assert eval(repr(policy), {"Policy": Policy}) == policy


def test_names(tmp_path):
    policy = Policy.from_toml(CHAT)
    assert (policy.class_names, policy.account_names) == (["chat"], ["research"])
    assert (policy.class_index("chat"), policy.account_index("research")) == (0, 0)
    with pytest.raises(rampmeter.NameUnknownError, match="reserch"):
        policy.account_index("reserch")
    (tmp_path / "chat.toml").write_text(CHAT)
    (tmp_path / "chat.json").write_text(policy.to_json())
    assert Policy.load(tmp_path / "chat.toml") == policy == Policy.load(str(tmp_path / "chat.json"))
    with pytest.raises(FileNotFoundError):
        Policy.load(tmp_path / "none.toml")


def test_wrong_documents_say_where():
    with pytest.raises(rampmeter.DocumentError, match="ttft_target_s"):
        Policy.from_toml("[[class]]\nname = 'chat'\nttft_targt_s = 1.0\n")
    with pytest.raises(ValueError, match="weight"):
        Policy.from_toml("[[account]]\nname = 'a'\nweight = -1.0\n")
