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
        metrics.put("AWS/EFS", "ClientConnections", &[("FileSystemId", FILE_SYSTEM)], at, value);
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

fn refused(answer: Result<Value, Reply>) -> String {
    answer.unwrap_err().headers[2].1.clone()
}

fn names(told: &Value, kind: &str) -> Vec<String> {
    let all = told.get(kind).unwrap().list().unwrap();
    all.iter().map(|one| one.get("AlarmName").unwrap().text().unwrap().to_owned()).collect()
}

#[test]
fn an_alarm_knows_nothing_until_it_is_set_and_stands_so_then() {
    let (mut all, now) = (alarms::Alarms::new(), Timestamp::UNIX_EPOCH);
    let metric = |name: &str| {
        map([
            ("AlarmName", text(name)),
            ("MetricName", text("CPUUtilization")),
            ("Namespace", text("AWS/EC2")),
            ("ComparisonOperator", text("GreaterThanThreshold")),
            ("EvaluationPeriods", Value::Whole(1)),
            ("Threshold", Value::Whole(80)),
        ])
    };
    alarms::put_metric(&mut all, &metric("busy"), now).unwrap();
    alarms::put_metric(&mut all, &metric("slow"), now).unwrap();
    let rule = map([("AlarmName", text("any")), ("AlarmRule", text("ALARM(busy) OR ALARM(slow)"))]);
    alarms::put_composite(&mut all, &rule, now).unwrap();
    let of = |all: &alarms::Alarms, asked: &Value| alarms::describe(all, "eu-west-1", asked);
    let told = of(&all, &map([])).unwrap();
    assert_eq!(
        (names(&told, "MetricAlarms"), names(&told, "CompositeAlarms")),
        (vec!["busy".into(), "slow".into()], vec![])
    );
    let first = &told.get("MetricAlarms").unwrap().list().unwrap()[0];
    assert_eq!(first.get("StateValue").unwrap().text(), Some("INSUFFICIENT_DATA"));
    assert_eq!(first.get("Threshold"), Some(&Value::Number(80.0)));

    let set = |all: &mut alarms::Alarms, name: &str, word: &str| {
        let asked = map([
            ("AlarmName", text(name)),
            ("StateValue", text(word)),
            ("StateReason", text("tried")),
        ]);
        alarms::set(all, &asked, now)
    };
    set(&mut all, "slow", "ALARM").unwrap();
    set(&mut all, "any", "ALARM").unwrap();
    // What is asked for again stands as before.
    alarms::put_metric(&mut all, &metric("slow"), now).unwrap();
    let both = Value::List(vec![text("MetricAlarm"), text("CompositeAlarm")]);
    let firing = map([("StateValue", text("ALARM")), ("AlarmTypes", both.clone())]);
    let told = of(&all, &firing).unwrap();
    assert_eq!(
        (names(&told, "MetricAlarms"), names(&told, "CompositeAlarms")),
        (vec!["slow".into()], vec!["any".into()])
    );
    let page = |token: Option<&str>| {
        let Value::Map(mut asked) =
            map([("AlarmTypes", both.clone()), ("MaxRecords", Value::Whole(2))])
        else {
            panic!()
        };
        asked.extend(token.map(|token| ("NextToken".to_owned(), text(token))));
        of(&all, &Value::Map(asked)).unwrap()
    };
    let told = page(None);
    let token = told.get("NextToken").unwrap().text().unwrap();
    assert_eq!(names(&page(Some(token)), "MetricAlarms"), ["slow"]);
    assert_eq!(page(Some(token)).get("NextToken"), None);

    let wrong = "ValidationError;Sender";
    assert_eq!(refused(set(&mut all, "slow", "FINE")), wrong);
    assert_eq!(refused(set(&mut all, "another", "OK")), "ResourceNotFound;Sender");
    assert_eq!(refused(alarms::put_metric(&mut all, &metric("any"), now)), wrong);
    assert_eq!(refused(alarms::put_metric(&mut all, &rule, now)), wrong, "it has no metric");
    let named = map([("AlarmNames", Value::List(vec![text("slow"), text("another")]))]);
    assert_eq!(names(&of(&all, &named).unwrap(), "MetricAlarms"), ["slow"]);
    alarms::delete(&mut all, &named).unwrap();
    assert_eq!(names(&of(&all, &map([])).unwrap(), "MetricAlarms"), ["busy"]);
}
