//! The text of settings as a whole: what is no dictionary, repetitions, references, and what is never shown.

use super::*;

#[test]
fn what_is_no_dictionary_is_refused() {
    #[track_caller]
    fn check(text: &str, complaint: &str) {
        let error = Settings::parse(&role(), text).expect_err(text);
        assert!(error.message.contains(complaint), "{error}");
    }
    check("", "write a JSON object or a Python dict");
    check("s3cr3t", "text without quotes at line 1 column 1");
    check("ssm:/a b", "write a reference as ssm:/path");
    check(&json!(written(json!({}))).to_string(), "encoded twice");
}

/// In JSON and in Python, at any depth.
#[test]
fn what_is_given_twice_is_refused() {
    let python = written(json!({})).replace("\"AMI\"", "\"SG\"").replace("\"GROUP\"", "'VIA'");
    let tags = "{\"TAGS\": {\"cost\": \"a\", \"cost\": \"b\"}, ";
    for text in [written(json!({})).replace("\"AMI\"", "\"SG\"").replace("\"GROUP\"", "\"VIA\""), python] {
        let text = text.replacen('{', tags, 1);
        let error = Settings::parse(&role(), &text).expect_err(&text);
        for key in ["SG", "DEPLOY.VIA", "TAGS.cost"] {
            assert!(error.message.contains(&format!("\n- {key}: given twice: write it once")), "{error}");
        }
    }
}

#[test]
fn a_byte_order_mark_is_no_fault() {
    let text = written(json!({}));
    assert_eq!(parsed(&format!("\u{feff}{text}\n")), parsed(&text));
    assert_eq!(parsed(&format!("\u{feff}{}", text.replace('"', "'"))), parsed(&text));
    assert_eq!(reference("\u{feff}ssm:/a\r\n"), Some("/a"));
}

/// A reference may lead to a password instead: whatever is there, the error shows nothing of it.
#[test]
fn nothing_of_a_parameter_is_shown() {
    let words = |text: &str| Settings::parse_parameter(&role(), "/prod/db/password", text).expect_err(text).message;
    for secret in ["s3cr3t", "s3cr3t$", "{'s3cr3t'}", "{s3cr3t: 1}", "\"s3cr3t\"", "['s3cr3t']", "ssm:s3cr3t"] {
        let told = words(secret);
        assert!(!told.contains("3cr3") && !told.contains('$') && told.contains("/prod/db/password"), "{told}");
    }
    let told = words(&written(json!({
        "s3cr3t": "s3cr3t", "COUNT": "s3cr3t", "SUBNET": ["s3cr3t"], "TAGS": {"a": "b", "s3cr3t": 7},
        "TIMEOUTS": {"s3cr3t": 1}, "VOLUMES": {}, "ZONE": "tag:s3cr3t",
    })));
    assert!(!told.contains("3cr3"), "{told}");
    for part in
        ["COUNT: what is there isn't accepted", "TAGS.entry 2: what is there isn't", "TIMEOUTS.entry 1: no such key"]
    {
        assert!(told.contains(part), "no {part} in {told}");
    }
    // The key isn't shown, but what was meant is.
    assert!(told.contains(": no such key: write VOLUME"), "{told}");
    assert_eq!(
        Settings::parse_parameter(&role(), "/x", &written(json!({}))),
        Settings::parse(&role(), &written(json!({})))
    );
}

#[test]
fn a_reference_is_told_from_settings() {
    for (text, path) in [
        ("ssm:/tagship/MZUM_WEB_PRODUCT", Some("/tagship/MZUM_WEB_PRODUCT")),
        (" ssm:/a \n", Some("/a")),
        ("ssm:", None),
        ("ssm:/a b", None),
        ("{\"AMI\": \"ssm:/a\"}", None),
    ] {
        assert_eq!(reference(text), path, "{text}");
    }
}

#[test]
fn a_missing_variable_is_named_with_the_closest_one() {
    let existing = ["PATH", "AWS_REGION", "MZUM_WEB_PRODUKT", "MZUM_WEB_QA", "TAGSHIP_BUCKET"];
    let error = missing(&role(), existing);
    assert!(error.message.contains("environment variable MZUM_WEB_PRODUCT"), "{error}");
    assert!(error.message.contains("has is MZUM_WEB_PRODUKT."), "{error}");
    assert!(!missing(&role(), ["PATH"]).message.contains("PATH"));
}
