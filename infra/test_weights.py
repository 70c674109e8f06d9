"""When a change set may be carried out on a service whose weights tagship has moved."""

import unittest

import weights

A, B = "arn:a", "arn:b"
GROUPS = {"TargetGroupA": (A, False), "TargetGroupB": (B, True)}
LIVE_B = {"HttpRule": {A: 0, B: 100}, "HttpsRule": {A: 0, B: 100}}
FIRST = {"WeightA": "100", "WeightB": "0"}
CARRIED = {"WeightA": "0", "WeightB": "100"}


def change(name, kind, action="Modify", replacement="False"):
    return {"LogicalResourceId": name, "ResourceType": kind, "Action": action, "Replacement": replacement}


RULE = [change("HttpRule", weights.RULE)]

# The situation, what differs from an update that rewrites a rule where B is live, and what is said; None: it may go on.
SITUATIONS = [
    ("the weights would be set back", {}, "add WeightA=0 WeightB=100 to the parameters"),
    ("the live weights are carried in", {"parameters": CARRIED}, None),
    ("A is live, as the template says", {"switches": {"HttpRule": {A: 100, B: 0}}}, None),
    ("never released", {"groups": {"TargetGroupA": (A, False), "TargetGroupB": (B, False)}}, None),
    ("nothing of it is touched", {"changes": [change("InstanceSecurityGroup", "AWS::EC2::SecurityGroup")]}, None),
    ("a rule is added", {"changes": [change("HttpsRule", weights.RULE, "Add")]}, "HttpsRule would be written"),
    ("a rule is taken away, which moves no weight", {"changes": [change("HttpsRule", weights.RULE, "Remove")]}, None),
    ("a default action", {"changes": [change("Listener", weights.LISTENER)]}, "Listener would be written"),
    (
        "half-moved",
        {"switches": {"HttpRule": {A: 0, B: 100}, "HttpsRule": {A: 100, B: 0}}},
        "don't agree on what is live",
    ),
    (
        "half-moved, and carried in",
        {"switches": {"HttpRule": {A: 0, B: 100}, "HttpsRule": {A: 100, B: 0}}, "parameters": CARRIED},
        "don't agree on what is live",
    ),
    ("no switch is left", {"switches": {}}, "don't agree on what is live"),
    ("a template of one's own", {"parameters": {}}, "give the template WeightA, WeightB"),
    (
        "a group is replaced",
        {"changes": [change("TargetGroupB", weights.GROUP, replacement="True")], "parameters": CARRIED},
        "TargetGroupB would be replaced",
    ),
    (
        "a group may be replaced",
        {"changes": [change("TargetGroupA", weights.GROUP, replacement="Conditional")]},
        "TargetGroupA would be replaced",
    ),
    (
        "a group is removed",
        {"changes": [change("TargetGroupB", weights.GROUP, "Remove")]},
        "would be replaced or removed",
    ),
    ("a rule for test traffic", {"changes": [change("TestRule", weights.RULE, "Add")]}, None),
    ("a group's health check", {"changes": [change("TargetGroupB", weights.GROUP)]}, None),
]


class Situations(unittest.TestCase):
    def test_each(self):
        for name, differs, expected in SITUATIONS:
            with self.subTest(name):
                usual = {"changes": RULE, "parameters": FIRST, "groups": GROUPS, "switches": LIVE_B}
                said = weights.problem(**{**usual, **differs})
                if expected is None:
                    self.assertIsNone(said)
                else:
                    self.assertIn(expected, said or "nothing")

    def test_the_weights_of_an_action_list(self):
        actions = [
            {"Type": "authenticate-oidc"},
            {
                "Type": "forward",
                "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": A, "Weight": 1}, {"TargetGroupArn": B}]},
            },
        ]
        self.assertEqual(weights.forwarded(actions), {A: 1, B: 1})
        self.assertEqual(weights.forwarded([{"Type": "redirect"}]), {})


if __name__ == "__main__":
    unittest.main()
