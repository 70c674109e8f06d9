//! What CodePipeline tells EventBridge: the state changes of pipelines, stages and actions.

use crate::pipeline::{Id, Kind};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// A state change of an execution, or of one of its stages or actions.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// When it happened.
    pub at: Timestamp,
    /// The pipeline execution.
    pub execution: Id,
    /// When the execution, stage or action began.
    pub started: Timestamp,
    /// Of what.
    pub subject: Subject,
    /// To what.
    pub state: State,
}

/// Whose state changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// The execution's.
    Pipeline,
    /// A stage's.
    Stage {
        /// The stage's name.
        stage: Id,
    },
    /// An action's.
    Action {
        /// The stage's name.
        stage: Id,
        /// The action's name.
        action: Id,
        /// This run of the action.
        id: Id,
        /// What it does.
        kind: Kind,
        /// How it ended.
        result: Option<Outcome>,
    },
}

/// How an action ended, beyond its state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// What a person reads.
    pub summary: Option<String>,
    /// The id that the action's provider gave.
    pub external_id: Option<String>,
    /// Where to look.
    pub external_url: Option<String>,
    /// AWS's code of the failure, e.g. `JobFailed`.
    pub error_code: Option<String>,
}

/// AWS's words for the states of pipelines, stages and actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words are AWS's")]
pub enum State {
    Started,
    Resumed,
    Succeeded,
    Failed,
    Stopping,
    Stopped,
    Superseded,
    Canceled,
    Abandoned,
}

impl State {
    /// AWS's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "STARTED",
            Self::Resumed => "RESUMED",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Stopping => "STOPPING",
            Self::Stopped => "STOPPED",
            Self::Superseded => "SUPERSEDED",
            Self::Canceled => "CANCELED",
            Self::Abandoned => "ABANDONED",
        }
    }
}

/// Where a pipeline lives: every event about it says this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The account's id.
    pub account: String,
    /// The Region's name.
    pub region: String,
    /// The pipeline's name.
    pub pipeline: Id,
}

impl Change {
    /// The event as EventBridge delivers it, under the id `id`.
    pub fn event(&self, origin: &Origin, id: &str) -> Value {
        let Origin { account, region, pipeline } = origin;
        let mut detail = Map::new();
        let mut put = |key: &str, value: Value| detail.insert(key.into(), value);
        put("pipeline", json!(&**pipeline));
        put("execution-id", json!(&*self.execution));
        put("start-time", json!(self.started.to_string()));
        put("state", json!(self.state.as_str()));
        put("version", json!(1.0));
        let level = match &self.subject {
            Subject::Pipeline => "Pipeline",
            Subject::Stage { stage } => {
                put("stage", json!(&**stage));
                "Stage"
            }
            Subject::Action { stage, action, id, kind, result } => {
                let (category, provider) = kind.category_and_provider();
                put("stage", json!(&**stage));
                put("action", json!(&**action));
                put("action-execution-id", json!(&**id));
                put("region", json!(region));
                put("type", json!({"owner": "AWS", "provider": provider, "category": category, "version": "1"}));
                if let Some(result) = result {
                    put("execution-result", result.detail());
                }
                "Action"
            }
        };
        json!({
            "version": "0",
            "id": id,
            "detail-type": format!("CodePipeline {level} Execution State Change"),
            "source": "aws.codepipeline",
            "account": account,
            "time": format!("{:.0}", self.at),
            "region": region,
            "resources": [format!("arn:aws:codepipeline:{region}:{account}:{pipeline}")],
            "detail": detail,
        })
    }
}

impl Outcome {
    fn detail(&self) -> Value {
        let fields = [
            ("external-execution-summary", &self.summary),
            ("external-execution-id", &self.external_id),
            ("external-execution-url", &self.external_url),
            ("error-code", &self.error_code),
        ];
        let present = fields.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
        present.map(|(key, value)| (key.to_owned(), json!(value))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_what_aws_sends() {
        let at: Timestamp = "2026-11-23T01:02:03.456Z".parse().expect("a time");
        let change = Change {
            at,
            execution: "e-1".into(),
            started: at,
            subject: Subject::Action {
                stage: "Release".into(),
                action: "Deploy".into(),
                id: "a-1".into(),
                kind: Kind::Lambda,
                result: Some(Outcome { error_code: Some("JobFailed".into()), ..Outcome::default() }),
            },
            state: State::Failed,
        };
        let origin = Origin { account: "123456789012".into(), region: "eu-west-1".into(), pipeline: "web".into() };
        assert_eq!(
            change.event(&origin, "id-1"),
            json!({
                "version": "0",
                "id": "id-1",
                "detail-type": "CodePipeline Action Execution State Change",
                "source": "aws.codepipeline",
                "account": "123456789012",
                "time": "2026-11-23T01:02:03Z",
                "region": "eu-west-1",
                "resources": ["arn:aws:codepipeline:eu-west-1:123456789012:web"],
                "detail": {
                    "pipeline": "web",
                    "execution-id": "e-1",
                    "start-time": "2026-11-23T01:02:03.456Z",
                    "stage": "Release",
                    "action": "Deploy",
                    "action-execution-id": "a-1",
                    "region": "eu-west-1",
                    "type": {"owner": "AWS", "provider": "Lambda", "category": "Invoke", "version": "1"},
                    "execution-result": {"error-code": "JobFailed"},
                    "state": "FAILED",
                    "version": 1.0
                }
            })
        );
    }
}
