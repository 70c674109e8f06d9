//! Whatever a stage says, infra/tagship.yaml's rules make a message of it that its reader can show.

use jiff::Timestamp;
use serde_json::{Value, json};
use tagship::notify::Notice;
use tagship::{Action, Error, Job, Kind, Outcome};
use tagship_emulator::rule::On;
use tagship_emulator::template::{Stack, Template};

/// What the account's topic and the chat's topic are sent of a notice.
fn sent(notice: &Notice) -> [String; 2] {
    let stack = Stack {
        name: "tagship".to_owned(),
        account: "123456789012".to_owned(),
        region: "eu-west-1".to_owned(),
        parameters: [("Chat".to_owned(), "amazon-q".to_owned())].into(),
        ..Stack::default()
    };
    let rules = Template::read(include_str!("../../infra/tagship.yaml"), stack).and_then(|template| template.rules());
    let rules = rules.unwrap_or_else(|error| panic!("{error}"));
    let detail: Value = serde_json::from_str(&notice.detail()).expect("JSON");
    let what = notice.headline.detail_type();
    let event = json!({"source": "tagship", "detail-type": what, "region": "eu-west-1", "detail": detail});
    let matching = rules.iter().filter(|rule| matches!(&rule.on, On::Event(pattern) if pattern.matches(&event)));
    let told = matching.flat_map(|rule| rule.targets.iter().map(|target| (&target.arn, target.input.of(&event, rule))));
    let told: Vec<_> = told.collect();
    ["tagship-Topic", "tagship-ChatTopic"].map(|topic| {
        let to: Vec<_> = told.iter().filter(|(arn, _)| arn.ends_with(&format!(":{topic}"))).collect();
        assert_eq!(to.len(), 1, "{what} is told to {topic} once: {told:?}");
        to[0].1.clone()
    })
}

#[test]
fn awkward_words_make_no_message_invalid() {
    for words in
        ["a \"quoted\" <name> & C:\\app\\new\n\ttail\u{7}", "한글, 😀 and \\", "{\"json\": [1, \"2\"]}", "<message>"]
    {
        let job = Job {
            role: "WEB_PRODUCT".to_owned().try_into().expect("a role"),
            release: "r0000001".to_owned().try_into().expect("a release"),
            pipeline: words.to_owned(),
            action: Action::Shift,
            input: None,
        };
        let error = Error { code: Some(words.to_owned()), ..Error::new(Kind::Release, words) };
        let outcome = Outcome::Failed(error);
        let notice = Notice::of(&job, &outcome, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH).expect("an end");
        let [mail, chat] = sent(&notice);
        for line in mail.lines() {
            serde_json::from_str::<String>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        }
        let chat: Value = serde_json::from_str(&chat).unwrap_or_else(|error| panic!("{error}: {chat}"));
        let own: Value = serde_json::from_str(&notice.amazon_q("eu-west-1")).expect("JSON");
        for member in ["/version", "/source", "/content/textType", "/content/title"] {
            assert_eq!(chat.pointer(member), own.pointer(member), "{member}: a service's own topic is told the same");
        }
        assert_eq!(chat["content"]["nextSteps"].as_array().map(Vec::len), Some(2));
    }
}
