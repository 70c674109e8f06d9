//! Tag selectors: what they match, how they are quoted, and the ids that they become.

use super::*;

#[test]
fn selectors_match_all_parts_with_wildcards() {
    for (selector, tags, expected) in [
        ("tag:a=b", &[("a", "b")][..], true),
        ("tag:a=b", &[("a", "bb")], false),
        ("tag:a=b", &[("A", "b")], false),
        ("tag:a=b", &[], false),
        ("tag:a=*", &[("a", "")], true),
        ("tag:a=b*d", &[("a", "bcccd")], true),
        ("tag:a=b?d", &[("a", "b글d")], true),
        ("tag:a=b?d", &[("a", "bd")], false),
        ("tag:a=b,c=*", &[("c", "x"), ("a", "b")], true),
        ("tag:a=b,c=*", &[("a", "b")], false),
        ("tag:a=*b*,a=*c*", &[("a", "cb")], true),
        ("tag:a=b=c", &[("a", "b=c")], true),
        ("tag:tagship:service=X", &[("tagship:service", "X")], true),
        ("tag:a='b, c'", &[("a", "b, c")], true),
        ("tag:a='b, c'", &[("a", "b"), ("c", "")], false),
        ("tag:'a=b'=c", &[("a=b", "c")], true),
        ("tag:'a,b'=c,d=e", &[("a,b", "c"), ("d", "e")], true),
        ("tag:a=''", &[("a", "")], true),
        ("tag:a=''", &[("a", "x")], false),
        ("tag:a=' x '", &[("a", " x ")], true),
        ("tag:a='it''s, *'", &[("a", "it's, so")], true),
        ("tag:a=it's", &[("a", "it's")], true),
        ("tag:'tag:a'=b", &[("tag:a", "b")], true),
    ] {
        let parsed = Selector::try_from(selector.to_owned()).expect(selector);
        let tags: Vec<_> = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        assert_eq!(parsed.matches(&tags), expected, "{selector} {tags:?}");
        assert_eq!(parsed.to_string(), selector);
    }
}

fn image(id: &str, created: &str) -> Image {
    Image { id: id.to_owned(), created: created.parse().expect("a time") }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn selectors_resolve_to_ids() {
    #[track_caller]
    fn check(difference: Value, found: Resolved, expected: Result<[Value; 3], &[&str]>) {
        let resolved = parsed(&written(difference)).settings.resolve(found);
        match (resolved, expected) {
            (Ok(settings), Ok(expected)) => {
                assert_eq!([json!(settings.subnet), json!(settings.ami), json!(settings.sg)], expected);
            }
            (Err(error), Err(expected)) => {
                assert_eq!(error.message.split("\n- ").skip(1).collect::<Vec<_>>(), expected);
            }
            (resolved, _) => panic!("{resolved:?}"),
        }
    }
    let ids = |subnets: &[&str]| json!(subnets);
    check(
        json!({"SUBNET": ["subnet-2", "subnet-1", "subnet-2"]}),
        Resolved::default(),
        Ok([ids(&["subnet-1", "subnet-2"]), json!("ami-1"), ids(&["sg-1"])]),
    );
    let selectors = json!({"SUBNET": "tag:a=b", "AMI": "tag:c=d", "SG": "tag:e=f"});
    check(
        selectors.clone(),
        Resolved {
            subnets: strings(&["subnet-9", "subnet-3", "subnet-9"]),
            images: vec![image("ami-3", "2026-01-01T00:00:00Z"), image("ami-2", "2026-02-01T00:00:00Z")],
            security_groups: strings(&["sg-2"]),
            ..Resolved::default()
        },
        Ok([ids(&["subnet-3", "subnet-9"]), json!("ami-2"), ids(&["sg-2"])]),
    );
    check(
        selectors,
        Resolved::default(),
        Err(&[
            "SUBNET: tag:a=b matches no subnet",
            "SG: tag:e=f matches no security group",
            "AMI: tag:c=d matches no available image",
        ]),
    );
    let parameter = |value: Option<&str>| Resolved { image_parameter: value.map(str::to_owned), ..Resolved::default() };
    let ami = json!({"AMI": "ssm:/ami"});
    check(ami.clone(), parameter(Some("ami-7")), Ok([ids(&["subnet-1"]), json!("ami-7"), ids(&["sg-1"])]));
    check(ami.clone(), parameter(None), Err(&["AMI: there is no parameter /ami"]));
    check(ami.clone(), parameter(Some("ami-7\r\n")), Ok([ids(&["subnet-1"]), json!("ami-7"), ids(&["sg-1"])]));
    let told = "AMI: parameter /ami holds no image id: write the path of one that holds ami-…, and nothing else";
    check(ami, parameter(Some("s3cr3t")), Err(&[told]));
    assert!(!format!("{:?}", parameter(Some("s3cr3t"))).contains("s3cr3t"));
}

#[test]
fn a_zone_is_the_one_private_zone_of_its_name() {
    #[track_caller]
    fn check(zones: Option<&[&str]>, expected: Result<Option<&str>, &str>) {
        let settings = parsed(&written(json!({"ZONE": "cd.internal"}))).settings;
        let found = Resolved { zones: zones.map(strings), ..Resolved::default() };
        match (settings.resolve(found), expected) {
            (Ok(settings), Ok(expected)) => assert_eq!(settings.zone_id.as_deref(), expected),
            (Err(error), Err(expected)) => assert!(error.message.ends_with(expected), "{error}"),
            (resolved, _) => panic!("{resolved:?}"),
        }
    }
    check(Some(&["Z1"]), Ok(Some("Z1")));
    check(None, Ok(None));
    check(Some(&[]), Err("ZONE cd.internal: there is no private hosted zone of this name"));
    check(
        Some(&["Z1", "Z2"]),
        Err("2 private hosted zones have this name (Z1, Z2); names would be ambiguous, keep one"),
    );
}

#[test]
fn an_artifacts_tag_may_be_in_quotes() {
    for (written, key, value, expected) in [
        ("release=candidate", "release", "candidate", true),
        ("release=candidate", "release", "Candidate", false),
        (" release = a,b ", "release", "a,b", true),
        ("release=*", "release", "x", false),
        ("'a=b'='c, d '", "a=b", "c, d ", true),
        ("release=''", "release", "", true),
    ] {
        let text = self::written(json!({"ARTIFACT": {"BUCKET": "builds", "PREFIX": "web/", "TAG": written}}));
        let artifact = parsed(&text).settings.artifact.expect("an artifact");
        assert_eq!(artifact.is(key, value), expected, "{written}");
    }
}

/// What `*` and `?` mean, as simply as it can be said.
fn wild(pattern: &[char], text: &[char]) -> bool {
    match (pattern, text) {
        ([], text) => text.is_empty(),
        (['*', rest @ ..], text) => (0..=text.len()).any(|n| wild(rest, &text[n..])),
        (['?', rest @ ..], [_, others @ ..]) => wild(rest, others),
        ([c, rest @ ..], [d, others @ ..]) => c == d && wild(rest, others),
        _ => false,
    }
}

proptest! {
    #[test]
    fn wildcards_mean_what_they_say(pattern in "[ab글*?]{1,7}", text in "[ab글]{0,7}") {
        let selector = Selector { parts: vec![("key".to_owned(), pattern.clone())] };
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        let expected = wild(&chars(&pattern), &chars(&text));
        prop_assert_eq!(selector.matches(&[("key".to_owned(), text)]), expected);
    }

    /// Whatever the tags are called.
    #[test]
    fn selectors_are_read_back_as_they_were(parts in prop::collection::vec(("[a',= :가tg]{1,9}", "[a',= :*?가]{0,9}"), 1..4)) {
        let selector = Selector { parts };
        prop_assert_eq!(Selector::try_from(selector.to_string()), Ok(selector));
    }
}
