//! CloudWatch's alarms.

use crate::cloud::timestamp;
use crate::error::Called;
use crate::{Cloud, elb};
use aws_sdk_cloudwatch::types::{AlarmType, StateValue};
use std::collections::BTreeMap;
use tagship::settings::{Choice, MAX_ALARMS};
use tagship::{Alarm, AlarmState, Error, listed};

/// These alarms, each as CloudWatch shows it. Composite ones are shown only if they are asked for.
pub(crate) async fn alarms(cloud: &Cloud, names: &[String]) -> Result<Vec<Alarm>, Error> {
    let mut found = BTreeMap::new();
    for names in names.chunks(MAX_ALARMS) {
        let request = cloud
            .cloudwatch()
            .describe_alarms()
            .set_alarm_names(Some(names.to_vec()))
            .alarm_types(AlarmType::MetricAlarm)
            .alarm_types(AlarmType::CompositeAlarm)
            .max_records(100);
        let resource = || listed(names.iter().map(String::as_str));
        let answer = request.send().await.called("cloudwatch:DescribeAlarms", resource())?;
        for alarm in answer.metric_alarms() {
            let since = alarm.state_transitioned_timestamp().or(alarm.state_updated_timestamp());
            let is = (alarm.state_value(), since, alarm.state_reason());
            found.extend(alarm.alarm_name().map(|name| (name.to_owned(), seen(name, is))));
        }
        for alarm in answer.composite_alarms() {
            let since = alarm.state_transitioned_timestamp().or(alarm.state_updated_timestamp());
            let is = (alarm.state_value(), since, alarm.state_reason());
            found.extend(alarm.alarm_name().map(|name| (name.to_owned(), seen(name, is))));
        }
    }
    let missing =
        |name: &String| Alarm { name: name.clone(), state: AlarmState::Missing, since: None, reason: String::new() };
    Ok(names.iter().map(|name| found.remove(name).unwrap_or_else(|| missing(name))).collect())
}

fn seen(
    name: &str,
    (state, since, reason): (Option<&StateValue>, Option<&aws_smithy_types::DateTime>, Option<&str>),
) -> Alarm {
    let state = match state {
        Some(StateValue::Ok) => AlarmState::Ok,
        Some(StateValue::Alarm) => AlarmState::Alarm,
        _ => AlarmState::NoData,
    };
    Alarm { name: name.to_owned(), state, since: since.map(timestamp), reason: reason.unwrap_or_default().to_owned() }
}

/// The alarms that settings name and that exist, or that their tags find.
pub(crate) async fn heeded(cloud: &Cloud, choice: &Choice) -> Result<Vec<String>, Error> {
    match choice {
        Choice::Ids(names) if names.is_empty() => Ok(Vec::new()),
        Choice::Ids(names) => {
            let found = alarms(cloud, names).await?.into_iter();
            Ok(found.filter(|alarm| alarm.state != AlarmState::Missing).map(|alarm| alarm.name).collect())
        }
        // arn:aws:cloudwatch:eu-west-1:123456789012:alarm:web-5xx
        Choice::Tags(selector) => {
            let arns = elb::tagged(cloud, "cloudwatch:alarm", selector).await?;
            Ok(arns.iter().filter_map(|arn| arn.split_once(":alarm:")).map(|(_, name)| name.to_owned()).collect())
        }
    }
}
