//! Which events a pattern matches, and which patterns EventBridge refuses.

use super::*;
use serde_json::json;

fn check(pattern: Value, yes: &[Value], no: &[Value]) {
    let parsed = Pattern::parse(&pattern).expect("a pattern");
    for event in yes {
        assert!(parsed.matches(event), "{pattern} should match {event}");
    }
    for event in no {
        assert!(!parsed.matches(event), "{pattern} should not match {event}");
    }
}

fn leaf(test: Value, yes: &[Value], no: &[Value]) {
    let wrap = |values: &[Value]| values.iter().map(|v| json!({"a": v})).collect::<Vec<_>>();
    check(json!({"a": [test]}), &wrap(yes), &wrap(no));
}

#[test]
fn operators() {
    leaf(json!("x"), &[json!("x"), json!(["w", "x"])], &[json!("X"), json!(1), json!([])]);
    leaf(json!(1), &[json!(1), json!(1.0)], &[json!("1"), json!(2)]);
    leaf(json!(null), &[json!(null)], &[json!(""), json!(false)]);
    leaf(json!({"prefix": "ab"}), &[json!("abc")], &[json!("cab"), json!(7)]);
    leaf(json!({"suffix": ".zip"}), &[json!("a.zip")], &[json!("zip")]);
    leaf(json!({"suffix": {"equals-ignore-case": ".zip"}}), &[json!("a.ZIP")], &[json!("a")]);
    leaf(json!({"equals-ignore-case": "Ab"}), &[json!("aB")], &[json!("abc")]);
    leaf(json!({"anything-but": "x"}), &[json!("y"), json!(1)], &[json!("x")]);
    leaf(json!({"anything-but": ["x", "y"]}), &[json!("z"), json!(1)], &[json!("x"), json!("y")]);
    leaf(json!({"anything-but": [1, 2]}), &[json!("1"), json!(3)], &[json!(1), json!(2.0)]);
    leaf(json!({"anything-but": {"wildcard": "*/lib/*"}}), &[json!("lib")], &[json!("/lib/a")]);
    leaf(json!({"anything-but": {"prefix": "a"}}), &[json!("b")], &[json!("ab")]);
    leaf(json!({"anything-but": {"suffix": ["a", "b"]}}), &[json!("c")], &[json!("xa"), json!("xb")]);
    leaf(json!({"numeric": [">", 1, "<=", 3]}), &[json!(3)], &[json!(1), json!("2")]);
    leaf(json!({"wildcard": "a*c"}), &[json!("ac"), json!("abbc")], &[json!("ab"), json!("xac")]);
    leaf(json!({"wildcard": "a\\*"}), &[json!("a*")], &[json!("ab")]);
    leaf(json!({"wildcard": "a\\\\*"}), &[json!("a\\b")], &[json!("a*")]);
    leaf(json!({"wildcard": "*"}), &[json!(""), json!("한글")], &[json!(1)]);
    leaf(json!({"exists": true}), &[json!(null), json!("")], &[json!({"b": 1}), json!([])]);
}

#[test]
fn fields() {
    check(
        json!({"source": ["tagship"], "detail": {"action": ["discard", "retire"]}}),
        &[json!({"source": "tagship", "detail": {"action": "retire"}, "more": 1})],
        &[
            json!({"source": "tagship", "detail": {"action": "park"}}),
            json!({"source": "other", "detail": {"action": "retire"}}),
            json!({"source": "tagship"}),
        ],
    );
    check(json!({"a": [{"exists": false}]}), &[json!({"b": 1})], &[json!({"a": 1})]);
    check(json!({"a": {"b": [{"exists": false}]}}), &[json!({})], &[json!({"a": {"b": 1}})]);
    check(json!({"a": {"b": [1]}}), &[json!({"a": [{"b": 2}, {"b": 1}]})], &[json!({"a": []})]);
    check(
        json!({"$or": [{"a": [1]}, {"b": [{"numeric": ["<", 0]}]}], "c": [1]}),
        &[json!({"a": 1, "c": 1}), json!({"b": -1, "c": 1})],
        &[json!({"a": 1}), json!({"b": 1, "c": 1})],
    );
}

#[test]
fn what_it_does_not_know_is_an_error_that_says_where() {
    for (pattern, at) in [
        (json!({"a": {"b": [{"cidr": "10.0.0.0/8"}]}}), "$.a.b"),
        (json!({"a": "x"}), "$.a"),
        (json!({"a": []}), "$.a"),
        (json!({"a": {}}), "$.a"),
        (json!({"a": [{"prefix": 1}]}), "$.a"),
        (json!({"a": [{"numeric": [">"]}]}), "$.a"),
        (json!({"a": [{"numeric": ["~", 1]}]}), "$.a"),
        (json!({"a": [{"prefix": "a", "suffix": "b"}]}), "$.a"),
        (json!({"a": [{"numeric": []}]}), "$.a"),
        (json!({"a": [{"numeric": ["=", "1"]}]}), "$.a"),
        (json!({"a": [{"numeric": [">", 3, "<", 1]}]}), "$.a"),
        (json!({"a": [{"numeric": [">=", 1, "<=", 1]}]}), "$.a"),
        (json!({"a": [{"numeric": ["<", 3, ">", 1]}]}), "$.a"),
        (json!({"a": [{"numeric": [">", 1, ">", 2]}]}), "$.a"),
        (json!({"a": [{"numeric": ["=", 1, "=", 2]}]}), "$.a"),
        (json!({"a": [{"numeric": [">", 1, "<", 5, "<", 4]}]}), "$.a"),
        (json!({"a": [{"anything-but": ["x", 1]}]}), "$.a"),
        (json!({"a": [{"anything-but": [null]}]}), "$.a"),
        (json!({"a": [{"anything-but": []}]}), "$.a"),
        (json!({"a": [{"anything-but": true}]}), "$.a"),
        (json!({"a": [{"anything-but": {}}]}), "$.a"),
        (json!({"a": [{"anything-but": {"prefix": ""}}]}), "$.a"),
        (json!({"a": [{"anything-but": {"suffix": ["a", ""]}}]}), "$.a"),
        (json!({"a": [{"anything-but": {"prefix": []}}]}), "$.a"),
        (json!({"a": [{"anything-but": {"prefix": {"equals-ignore-case": "a"}}}]}), "$.a"),
        (json!({"a": [{"anything-but": {"prefix": "a", "suffix": "b"}}]}), "$.a"),
        (json!({"a": [{"prefix": ""}]}), "$.a"),
        (json!({"a": [{"suffix": ""}]}), "$.a"),
        (json!({"a": [{"prefix": {"equals-ignore-case": ""}}]}), "$.a"),
        (json!({"a": [{"prefix": {"equals-ignore-case": "a", "x": 1}}]}), "$.a"),
        (json!({"a": [{"wildcard": "a**"}]}), "$.a"),
        (json!({"a": [{"wildcard": "a\\b"}]}), "$.a"),
        (json!({"a": [{"wildcard": "a\\"}]}), "$.a"),
        (json!({"a": [{"anything-but": {"wildcard": "\\a"}}]}), "$.a"),
        (json!({"a": [{"exists": "true"}]}), "$.a"),
        (json!({"$or": [{"a": [1]}]}), "$.$or"),
        (json!({"$or": []}), "$.$or"),
        (json!({"$or": {"a": [1]}}), "$.$or"),
        (json!({"$or": [{"a": [1]}, 1]}), "$.$or"),
        (json!({"$or": [{"a": [1]}, {}]}), "$.$or"),
        (json!({"$or": [{"a": [1]}, {"b": {"prefix": ["x"]}}]}), "$.$or"),
        (json!([]), "$"),
    ] {
        assert_eq!(Pattern::parse(&pattern).expect_err("an error").at, at, "{pattern}");
    }
}
