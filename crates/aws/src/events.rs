//! EventBridge and SNS: what is told of a stage's end.

use crate::Cloud;
use crate::error::{Called, refused};
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use tagship::Error;
use tagship::notify::{Notice, SOURCE};
use tagship::settings::TopicFormat;

/// PutEvents, of one event. EventBridge may refuse an entry of an accepted call.
pub(crate) async fn put(cloud: &Cloud, notice: &Notice) -> Result<(), Error> {
    const ACTION: &str = "events:PutEvents";
    let headline = notice.headline.detail_type();
    let entry = PutEventsRequestEntry::builder().source(SOURCE).detail_type(headline).detail(notice.detail()).build();
    let answer = cloud.events_changes().put_events().entries(entry).send().await.called(ACTION, headline)?;
    if answer.failed_entry_count() > 0 {
        let entry = answer.entries().first();
        let (code, words) = entry.map_or((None, None), |entry| (entry.error_code(), entry.error_message()));
        return Err(refused(ACTION, headline, code, words));
    }
    Ok(())
}

/// A service's own topic, and how it is told.
pub(crate) type Topic = (String, TopicFormat);

/// Publish, to the service's own topic.
pub(crate) async fn publish(cloud: &Cloud, (topic, format): &Topic, notice: &Notice) -> Result<(), Error> {
    let message = match format {
        TopicFormat::Text => notice.body(&cloud.region),
        TopicFormat::AmazonQ => notice.amazon_q(&cloud.region),
    };
    let request = cloud.sns_changes().publish().topic_arn(topic).subject(notice.subject()).message(message);
    request.send().await.called("sns:Publish", topic)?;
    Ok(())
}
