//! Times and lengths for people.

use jiff::Timestamp;

/// `42 s`, `3 min`, `2 h 5 min`, `3 d 4 h`.
pub(crate) fn lasting(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let with = |whole: i64, unit: &str, rest: i64, of: &str| {
        if rest == 0 { format!("{whole} {unit}") } else { format!("{whole} {unit} {rest} {of}") }
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) if minutes < 10 => with(minutes, "min", seconds % 60, "s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, ..) => with(hours, "h", minutes % 60, "min"),
        _ => with(days, "d", hours % 24, "h"),
    }
}

/// A moment in UTC: the date only where it isn't today's.
pub(crate) fn moment(at: Timestamp, now: Timestamp) -> String {
    let (day, time) = (at.strftime("%Y-%m-%d"), at.strftime("%H:%M:%SZ"));
    if at.strftime("%F").to_string() == now.strftime("%F").to_string() {
        time.to_string()
    } else {
        format!("{day} {time}")
    }
}

/// `12:58:04Z (3 min)`.
pub(crate) fn since(at: Option<Timestamp>, now: Timestamp) -> String {
    at.map_or_else(
        || "an unknown time".to_owned(),
        |at| format!("{} ({})", moment(at, now), lasting(now.duration_since(at).as_secs())),
    )
}

/// The last part of an ARN: `arn:aws:iam::1:user/kim` is `kim`.
pub(crate) fn person(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_of_two_units_at_most() {
        for (seconds, expected) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (200, "3 min 20 s"),
            (1_000, "16 min"),
            (3_600, "1 h"),
            (7_500, "2 h 5 min"),
            (273_600, "3 d 4 h"),
        ] {
            assert_eq!(lasting(seconds), expected);
        }
    }

    #[test]
    fn today_needs_no_date() {
        let now = Timestamp::from_second(1_000_000).expect("a time");
        let before = Timestamp::from_second(900_000).expect("a time");
        assert_eq!(moment(now, now), "13:46:40Z");
        assert_eq!(moment(before, now), "1970-01-11 10:00:00Z");
    }
}
