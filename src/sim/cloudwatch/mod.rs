//! CloudWatch, in the two protocols that SDKs of today speak to it: Smithy's RPC v2 over CBOR (Rust),
//! and JSON 1.0 (Python). What was put into [`super::metric`], by periods, and the alarms of
//! [`super::alarm`].

mod alarms;
mod cbor;
mod json;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use self::cbor::Value;
use super::account::Account;
use super::aws_json;
use super::call::Call;
use super::http::{Reply, Request};
use super::metric::Metrics;
use super::quota;

/// Where this service's paths begin.
pub const PREFIX: &str = "/service/GraniteServiceVersion20100801/operation/";
/// What the header of every request in JSON begins with.
pub const TARGET: &str = "GraniteServiceVersion20100801.";
/// How many queries one request may have.
const QUERIES: usize = 500;

/// What a request asks for, by the name that policies give it.
pub fn action(request: &Request) -> String {
    let target = request.header(aws_json::TARGET).and_then(|it| it.strip_prefix(TARGET));
    target.or_else(|| request.path.strip_prefix(PREFIX)).unwrap_or_default().to_owned()
}

/// What a request in CBOR says, in JSON, for people; none where it is none.
pub fn readable(request: &Request) -> Option<String> {
    request.path.strip_prefix(PREFIX)?;
    cbor::decode(&request.body).map(|asked| json::encoded(&asked).to_string())
}

/// Answers one signed request.
pub fn answer(account: &mut Account, call: &Call<'_>) -> Reply {
    let is_json = call.request.header(aws_json::TARGET).is_some();
    let body = &call.request.body;
    let asked = if is_json { json::decode(body) } else { cbor::decode(body) };
    let Some(asked) = asked else {
        return as_asked(is_json, error(400, "SerializationException", "the body cannot be read"));
    };
    if call.action == "GetMetricData" {
        quota::measure(account, &call.region);
    }
    let now = account.world();
    let region = account.region(&call.region);
    let result = match call.action.as_str() {
        "DeleteAlarms" => alarms::delete(&mut region.alarms, &asked),
        "DescribeAlarms" => alarms::describe(&region.alarms, &call.region, &asked),
        "GetMetricData" => metric_data(&region.metrics, &asked),
        "PutCompositeAlarm" => alarms::put_composite(&mut region.alarms, &asked, now),
        "PutMetricAlarm" => alarms::put_metric(&mut region.alarms, &asked, now),
        "SetAlarmState" => alarms::set(&mut region.alarms, &asked, now),
        _ => Err(error(404, "UnknownOperationException", "")),
    };
    as_asked(is_json, result.map_or_else(|refusal| refusal, |output| reply(200, &output)))
}

/// In the protocol of who asked.
fn as_asked(is_json: bool, reply: Reply) -> Reply {
    match cbor::decode(&reply.body.0).filter(|_| is_json) {
        None => reply,
        Some(body) => {
            let kind = "application/x-amz-json-1.0";
            let told = Reply::new(reply.status, kind, json::encoded(&body).to_string());
            let header = reply.headers.into_iter().find(|(name, _)| *name == "x-amzn-query-error");
            header.into_iter().fold(told, |told, (name, value)| told.header(name, value))
        }
    }
}

/// An error in the shape of this service. Who knows the older protocol reads the header.
pub fn error(status: u16, code: &str, message: &str) -> Reply {
    let text = |text: &str| Value::Text(text.to_owned());
    let kind = format!("com.amazonaws.cloudwatch#{code}");
    let body = map([("__type", text(&kind)), ("message", text(message))]);
    let fault = if status < 500 { "Sender" } else { "Receiver" };
    reply(status, &body).header("x-amzn-query-error", format!("{code};{fault}"))
}

fn invalid(message: &str) -> Reply {
    error(400, "InvalidParameterValueException", message)
}

fn missing(name: &str) -> Reply {
    let message = format!("The parameter {name} is required.");
    error(400, "MissingRequiredParameterException", &message)
}

/// One query.
struct Query {
    id: String,
    label: String,
    name: (String, String, String),
    period: i64,
    statistic: String,
}

fn metric_data(metrics: &Metrics, asked: &Value) -> Result<Value, Reply> {
    let queries = asked.get("MetricDataQueries").and_then(Value::list);
    let queries = queries.ok_or_else(|| missing("MetricDataQueries"))?;
    if queries.is_empty() || queries.len() > QUERIES {
        return Err(invalid("MetricDataQueries must have between 1 and 500 members"));
    }
    let time = |name: &str| {
        asked.get(name).ok_or_else(|| missing(name))?.moment().ok_or_else(|| invalid(name))
    };
    let (from, until) = (time("StartTime")?, time("EndTime")?);
    if from >= until {
        return Err(error(
            400,
            "ValidationError",
            "The parameter StartTime must be less than the parameter EndTime.",
        ));
    }
    let ascending = asked.get("ScanBy").and_then(Value::text) == Some("TimestampAscending");
    let mut results = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for query in queries {
        let query = read(query)?;
        if !seen.insert(query.id.clone()) {
            return Err(invalid(&format!("The id {} is used more than once", query.id)));
        }
        results.push(result(metrics, &query, (from, until), ascending)?);
    }
    Ok(map([("MetricDataResults", Value::List(results)), ("Messages", Value::List(Vec::new()))]))
}

fn read(query: &Value) -> Result<Query, Reply> {
    let text = |of: &Value, name: &str| {
        let found = of.get(name).and_then(Value::text).map(str::to_owned);
        found.ok_or_else(|| missing(name))
    };
    let id = text(query, "Id")?;
    if !id.starts_with(|first: char| first.is_ascii_lowercase()) {
        return Err(error(
            400,
            "ValidationError",
            &format!(
                "The value {id} for parameter MetricDataQueries.Id is not matching the expected pattern"
            ),
        ));
    }
    let stat = query.get("MetricStat").ok_or_else(|| invalid("only MetricStat is here"))?;
    let metric = stat.get("Metric").ok_or_else(|| missing("Metric"))?;
    let mut dimensions = Vec::new();
    for dimension in metric.get("Dimensions").and_then(Value::list).unwrap_or_default() {
        dimensions.push(format!("{}={}", text(dimension, "Name")?, text(dimension, "Value")?));
    }
    dimensions.sort();
    let name = text(metric, "MetricName")?;
    let period = stat.get("Period").and_then(Value::whole).ok_or_else(|| missing("Period"))?;
    if period <= 0 || period % 60 != 0 {
        return Err(invalid("Period must be a multiple of 60"));
    }
    let label = query.get("Label").and_then(Value::text).unwrap_or(&name).to_owned();
    let name = (text(metric, "Namespace")?, name, dimensions.join(","));
    Ok(Query { id, label, name, period, statistic: text(stat, "Stat")? })
}

fn result(
    metrics: &Metrics,
    query: &Query,
    (from, until): (i64, i64),
    ascending: bool,
) -> Result<Value, Reply> {
    let mut times = Vec::new();
    let mut values = Vec::new();
    let mut periods = metrics.periods(&query.name, from, until, query.period);
    if !ascending {
        periods.reverse();
    }
    for (at, numbers) in periods {
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are few")]
        times.push(Value::Moment(at as f64));
        values.push(Value::Number(together(&query.statistic, &numbers)?));
    }
    let text = |text: &str| Value::Text(text.to_owned());
    Ok(map([
        ("Id", text(&query.id)),
        ("Label", text(&query.label)),
        ("Timestamps", Value::List(times)),
        ("Values", Value::List(values)),
        ("StatusCode", text("Complete")),
    ]))
}

/// What the numbers of a period come to.
fn together(statistic: &str, numbers: &[f64]) -> Result<f64, Reply> {
    let sum: f64 = numbers.iter().sum();
    #[expect(clippy::cast_precision_loss, reason = "minutes of a period")]
    let count = numbers.len() as f64;
    Ok(match statistic {
        "Sum" => sum,
        "Average" => sum / count,
        "Minimum" => numbers.iter().copied().fold(f64::INFINITY, f64::min),
        "Maximum" => numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        "SampleCount" => count,
        other => return Err(invalid(&format!("The statistic {other} is not here"))),
    })
}

fn map<const N: usize>(members: [(&str, Value); N]) -> Value {
    let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
    Value::Map(members.collect::<BTreeMap<_, _>>())
}

fn reply(status: u16, body: &Value) -> Reply {
    let body = bytes::Bytes::from(body.encoded());
    Reply::new(status, "application/cbor", body).header("smithy-protocol", "rpc-v2-cbor")
}
