use jiff::Timestamp;

use super::*;

const FILE_SYSTEM: &str = "fs-0123456789abcdef0";

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn asked(statistic: &str, from: i64, until: i64, period: i64) -> Value {
    let dimension = map([("Name", text("FileSystemId")), ("Value", text(FILE_SYSTEM))]);
    let metric = map([
        ("Namespace", text("AWS/EFS")),
        ("MetricName", text("ClientConnections")),
        ("Dimensions", Value::List(vec![dimension])),
    ]);
    let stat =
        map([("Metric", metric), ("Period", Value::Whole(period)), ("Stat", text(statistic))]);
    let query = map([("Id", text("m0")), ("MetricStat", stat)]);
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    map([
        ("MetricDataQueries", Value::List(vec![query])),
        ("StartTime", Value::Moment(from as f64)),
        ("EndTime", Value::Moment(until as f64)),
        ("ScanBy", text("TimestampAscending")),
    ])
}

fn values(answer: &Value) -> Vec<f64> {
    let [result] = answer.get("MetricDataResults").unwrap().list().unwrap() else { panic!() };
    let values = result.get("Values").unwrap().list().unwrap();
    let number = |value: &Value| if let Value::Number(it) = value { *it } else { panic!() };
    values.iter().map(number).collect()
}

#[test]
fn minutes_are_put_together_by_periods() {
    let mut metrics = Metrics::default();
    for (at, value) in [(0, 1.0), (60, 3.0), (119, 2.0), (300, 5.0)] {
        let at = Timestamp::from_second(at).unwrap();
        metrics.put("AWS/EFS", "ClientConnections", ("FileSystemId", FILE_SYSTEM), at, value);
    }
    let of = |statistic, from, until, period| {
        metric_data(&metrics, &asked(statistic, from, until, period)).map(|it| values(&it))
    };
    // The second of a minute replaces the first.
    assert_eq!(of("Sum", 0, 360, 60).unwrap(), [1.0, 2.0, 5.0]);
    assert_eq!(of("Sum", 0, 300, 300).unwrap(), [3.0]);
    assert_eq!(of("Maximum", 0, 360, 300).unwrap(), [2.0, 5.0]);
    assert_eq!(of("Average", 0, 300, 300).unwrap(), [1.5]);
    assert_eq!(of("Sum", 400, 500, 60).unwrap(), [0.0; 0]);
    let code = |refused: Result<Vec<f64>, Reply>| refused.unwrap_err().headers[2].1.clone();
    assert_eq!(code(of("p99", 0, 360, 60)), "InvalidParameterValueException;Sender");
    assert_eq!(code(of("Sum", 360, 0, 60)), "ValidationError;Sender");
    assert_eq!(code(of("Sum", 0, 360, 7)), "InvalidParameterValueException;Sender");
}
