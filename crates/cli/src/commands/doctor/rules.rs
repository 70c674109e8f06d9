//! The event rules: whether what ends early is rolled back and discarded, and whether anybody looks after the rest.

use super::{Check, Verdict};
use serde_json::Value;
use tagship::settings::Settings;
use tagship::{Action, ServiceRole};
use tagship_aws::{Account, EventRule};

const PART: &str = "event rules";

/// How CodePipeline calls the ends that nobody approved.
const ENDS: [&str; 4] = ["FAILED", "STOPPED", "SUPERSEDED", "CANCELED"];

/// What sets the functions off when an execution is over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Event {
    /// It ended early.
    Ended,
    /// Sweep found that it had ended early.
    Abandoned,
    /// Sweep found that it had succeeded.
    Unfinished,
}

impl Event {
    fn words(self) -> &'static str {
        match self {
            Event::Ended => "an execution ends early",
            Event::Abandoned => "sweep finds a release that ended early",
            Event::Unfinished => "sweep finds a release that succeeded",
        }
    }

    /// Whether a rule hears it, of this pipeline.
    fn heard(self, rule: &EventRule, pipeline: &str) -> bool {
        let takes = |field: &Value, word: &str| {
            field.is_null() || field.as_array().is_some_and(|words| words.iter().any(|it| it == word))
        };
        let detail = &rule.pattern["detail"];
        let kind = |word: &str| !rule.pattern["detail-type"].is_null() && takes(&rule.pattern["detail-type"], word);
        let heard = match self {
            Event::Ended => {
                kind("CodePipeline Pipeline Execution State Change")
                    && ENDS.iter().all(|end| takes(&detail["state"], end))
            }
            Event::Abandoned => kind("Release Abandoned") && takes(&detail["action"], "discard"),
            Event::Unfinished => kind("Release Abandoned") && takes(&detail["action"], "retire"),
        };
        heard && takes(&detail["pipeline"], pipeline)
    }
}

/// The pipeline's rules, and those of the installation.
pub(super) async fn check(account: &Account, prefix: &str, role: &ServiceRole, settings: &Settings) -> Check {
    let Some(pipeline) = &settings.pipeline else { return Check::skipped(PART, "pipeline") };
    let begin = [format!("{prefix}{pipeline}"), format!("{prefix}sweep"), format!("{prefix}guard")];
    let [own, sweep, guard] = &begin;
    let found = tokio::try_join!(account.event_rules(own), account.event_rules(sweep), account.event_rules(guard));
    let (own, sweep, guard) = match found {
        Ok(found) => found,
        Err(error) => return Check::failed(PART, &error),
    };
    let mut problems = of_pipeline(&own, prefix, pipeline, role, settings.pre_product);
    problems.extend(of_installation(&[sweep, guard].concat(), prefix));
    if problems.is_empty() {
        return Check::fine(PART, format!("what ends early in {pipeline} is rolled back and discarded"));
    }
    Check::new(PART, Verdict::Error, problems)
}

/// What doesn't happen when an execution of the pipeline is over.
fn of_pipeline(rules: &[EventRule], prefix: &str, pipeline: &str, role: &ServiceRole, pre: bool) -> Vec<String> {
    let early: &[Action] = if pre { &[Action::Park] } else { &[Action::Rollback, Action::Discard] };
    let late: &[Action] = if pre { &[Action::Park] } else { &[Action::Retire] };
    let wanted = [(Event::Ended, early), (Event::Abandoned, early), (Event::Unfinished, late)];
    let acts = |rule: &&EventRule, action: Action| {
        let function = format!(":function:{prefix}{}", action.stage());
        rule.targets.iter().any(|(arn, sent)| {
            let sent = &sent["tagship"];
            arn.ends_with(&function) && sent["serviceRole"] == role.as_str() && sent["action"] == action.as_str()
        })
    };
    let mut problems = Vec::new();
    for (event, actions) in wanted {
        for action in actions {
            let mut able = rules.iter().filter(|rule| event.heard(rule, pipeline) && acts(rule, *action));
            // One that is on is enough.
            match able.clone().find(|rule| rule.enabled).or(able.next()) {
                Some(off) if !off.enabled => problems.push(format!(
                    "rule {} is off, so nothing does {action} for {role} when {}: aws events enable-rule --name {}",
                    off.name,
                    event.words(),
                    off.name
                )),
                Some(_) => {}
                None => problems.push(format!(
                    "no rule {prefix}{pipeline}… does {action} for {role} when {}: deploy infra/pipeline.yaml again",
                    event.words()
                )),
            }
        }
    }
    problems
}

/// The rules that infra/tagship.yaml makes once.
fn of_installation(rules: &[EventRule], prefix: &str) -> Vec<String> {
    let problem = |(name, does): (&str, &str)| {
        let name = format!("{prefix}{name}");
        match rules.iter().find(|rule| rule.name == name) {
            None => Some(format!("there is no rule {name}, which {does}: make deploy")),
            Some(rule) if !rule.enabled => {
                Some(format!("rule {name} is off, which {does}: aws events enable-rule --name {name}"))
            }
            Some(_) => None,
        }
    };
    let wanted = [
        ("sweep", "finds releases whose end was lost"),
        ("guard", "looks at alarms each minute"),
        ("guard-alarms", "hears alarms at once"),
        ("guard-stops", "hears that an execution is being stopped"),
    ];
    wanted.into_iter().filter_map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rule(name: &str, pattern: Value, acts: &[(&str, &str)]) -> EventRule {
        let target = |(function, action): &(&str, &str)| {
            let arn = format!("arn:aws:lambda:eu-west-1:1:function:tagship-{function}");
            (arn, json!({"tagship": {"serviceRole": "WEB", "release": "<release>", "action": action}}))
        };
        let targets = acts.iter().map(target).collect();
        EventRule { name: format!("tagship-{name}"), enabled: true, pattern, targets }
    }

    /// As infra/pipeline.yaml and infra/tagship.yaml make them.
    fn rules() -> Vec<EventRule> {
        let ended = json!({"source": ["aws.codepipeline"],
            "detail-type": ["CodePipeline Pipeline Execution State Change"],
            "detail": {"pipeline": ["web"], "state": ENDS}});
        let abandoned = |action: &str| {
            json!({"source": ["tagship"], "detail-type": ["Release Abandoned"],
                "detail": {"pipeline": ["web"], "action": [action]}})
        };
        let early = [("route", "rollback"), ("cleanup", "discard")];
        let mut rules = vec![
            rule("web-ended", ended, &early),
            rule("web-abandoned", abandoned("discard"), &early),
            rule("web-unfinished", abandoned("retire"), &[("cleanup", "retire")]),
        ];
        rules.extend(["sweep", "guard", "guard-alarms", "guard-stops"].map(|name| rule(name, Value::Null, &[])));
        rules
    }

    #[track_caller]
    fn check(change: fn(&mut Vec<EventRule>), expected: &[&str]) {
        let mut rules = rules();
        change(&mut rules);
        let role = ServiceRole::try_from("WEB".to_owned()).expect("a role");
        let mut found = of_pipeline(&rules, "tagship-", "web", &role, false);
        found.extend(of_installation(&rules, "tagship-"));
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn what_nobody_hears_is_found() {
        check(|_| (), &[]);
        let ended = ["does rollback for WEB when an execution ends early", "does discard for WEB when an execution"];
        check(|rules| drop(rules.remove(0)), &ended);
        check(|rules| rules[0].pattern["detail"]["state"] = json!(["FAILED"]), &ended);
        check(|rules| rules[0].pattern["detail"]["pipeline"] = json!(["web-qa"]), &ended);
        check(|rules| rules[0].targets[1].1["tagship"]["serviceRole"] = "SHOP".into(), &["does discard for WEB"]);
        check(
            |rules| rules[1].targets[0].0 += "-old",
            &["does rollback for WEB when sweep finds a release that ended"],
        );
        let off = "rule tagship-web-unfinished is off, so nothing does retire";
        check(|rules| rules[2].enabled = false, &[off]);
        check(|rules| drop(rules.remove(3)), &["there is no rule tagship-sweep"]);
        check(|rules| rules[5].enabled = false, &["rule tagship-guard-alarms is off, which hears alarms at once"]);
    }
}
