//! What people are told, as it comes to SNS.

use crate::person::aws;
use crate::releases::LOOK;
use serde_json::Value;
use std::collections::BTreeMap;
use tagship_local::Local;

/// One message.
#[derive(Clone, Debug)]
pub struct Message {
    /// Who published it: a function, or `events` for a rule.
    pub caller: String,
    /// The topic's name.
    pub topic: String,
    /// Its subject; none of a rule's.
    pub subject: Option<String>,
    /// Its text.
    pub text: String,
}

/// All messages so far.
pub fn messages(local: &Local) -> Vec<Message> {
    let records = local.gateway.recorder().records().into_iter();
    let published = records.filter(|record| (record.service.as_str(), record.operation.as_str()) == ("sns", "Publish"));
    let message = published.map(|record| {
        let form = format!("http://sns/?{}", record.request.body.unwrap_or_default());
        let form = reqwest::Url::parse(&form).expect("a form");
        let mut form: BTreeMap<String, String> = form.query_pairs().into_owned().collect();
        let topic = form.remove("TopicArn").unwrap_or_default();
        Message {
            caller: record.caller,
            topic: topic.rsplit(':').next().unwrap_or_default().to_owned(),
            subject: form.remove("Subject"),
            text: form.remove("Message").unwrap_or_default(),
        }
    });
    message.collect()
}

/// Tags the account's topic so that it can be a service's own `TOPIC`, too.
pub fn may_be_told(local: &Local, role: &str) {
    let topic = &local.account.topic;
    let tag = format!("sns tag-resource --resource-arn {topic} --tags Key=tagship:service,Value={role}");
    aws(&local.gateway.url(), &tag);
}

/// What of a message Amazon Q shows.
///
/// # Panics
///
/// If it would show nothing: any other text it drops.
pub fn amazon_q(text: &str) -> Value {
    let told: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!((&told["version"], &told["source"]), (&"1.0".into(), &"custom".into()), "{text}");
    let content = &told["content"];
    assert_eq!(content["textType"], "client-markdown", "{text}");
    let said = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty() && text.chars().count() <= 5_500);
    let next = content["nextSteps"].as_array().expect("next steps");
    assert!([&content["title"], &content["description"]].into_iter().chain(next).all(said), "{text}");
    content.clone()
}

/// Waits until one of tagship's events has come to the account's topic and to the chat's, which say the same of it.
pub async fn told(local: &Local, event: &Value) {
    let detail = &event["detail"];
    let word = |key: &str| detail[key].as_str().unwrap_or_default();
    let (subject, message, next) = (word("subject"), word("message"), word("next"));
    assert!(!subject.is_empty() && !message.is_empty() && !next.is_empty(), "{event}");
    let icon = if event["detail-type"] == "Stage Succeeded" { ":white_check_mark:" } else { ":rotating_light:" };
    loop {
        let messages = messages(local).into_iter().filter(|message| message.caller == "events");
        let (mut mail, mut chat) = (false, false);
        for Message { topic, text, .. } in messages {
            match topic.as_str() {
                "tagship" if text.contains(subject) => {
                    let lines: Vec<_> = text.lines().map(|line| line.trim_matches('"')).collect();
                    let next = format!("What to do next: {next}");
                    mail |= lines.get(..3) == Some(&[subject, message, &next]) && lines[3].contains("https://");
                }
                "tagship-chat" => {
                    let content = amazon_q(&text);
                    chat |= content["title"] == format!("{icon} {subject}")
                        && content["nextSteps"][0] == next
                        && content["description"].as_str().is_some_and(|text| text.starts_with(message));
                }
                _ => {}
            }
        }
        if mail && chat {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}
