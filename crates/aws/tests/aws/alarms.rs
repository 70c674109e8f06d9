//! CloudWatch's alarms, as its own protocol has them.

use crate::account::{Account, Everything, look, port};
use aws_sdk_cloudwatch::types::{ComparisonOperator, StateValue, Statistic};
use tagship::settings::{Choice, Settings};
use tagship::{AlarmState, Held, Holding, Parts, Port};

#[tokio::test]
async fn alarms_are_read_by_name_whatever_their_state() {
    let account = Account::set_up().await;
    let client = aws_sdk_cloudwatch::Client::new(&account.sdk);
    for (name, state) in [("ok", StateValue::Ok), ("rings", StateValue::Alarm), ("quiet", StateValue::InsufficientData)]
    {
        let alarm =
            client.put_metric_alarm().alarm_name(name).namespace("AWS/ApplicationELB").metric_name("RequestCount");
        let alarm = alarm.statistic(Statistic::Sum).period(60).evaluation_periods(1).threshold(1.0);
        let alarm = alarm.comparison_operator(ComparisonOperator::GreaterThanThreshold);
        alarm.send().await.expect("an alarm");
        let set = client.set_alarm_state().alarm_name(name).state_value(state).state_reason("by hand");
        set.send().await.expect("its state");
    }
    let names: Vec<String> = ["ok", "rings", "quiet", "gone"].map(str::to_owned).into();
    let settings = Settings { alarms: Choice::Ids(names.clone()), ..account.settings().await };
    let (job, hold) = (crate::account::job(tagship::Action::Guard), crate::account::hold(settings.clone()));
    let holding = Holding { held: Some(Held { hold, etag: String::new(), freed: false }), ended: None };
    let world = port::<Everything>(&account.cloud).observe(&look(&job, &holding, Some(&settings), Parts::ALARMS)).await;
    let world = world.unwrap_or_else(|error| panic!("{error}"));
    let found: Vec<(&str, AlarmState)> = world.alarms.iter().map(|alarm| (alarm.name.as_str(), alarm.state)).collect();
    use AlarmState::{Alarm, Missing, NoData, Ok};
    assert_eq!(found, [("ok", Ok), ("rings", Alarm), ("quiet", NoData), ("gone", Missing)]);
    assert_eq!(world.alarms[1].reason, "by hand");
    assert!(world.alarms[1].since.is_some());
}
