//! CloudWatch: metrics of the last hours. Nothing is put there.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat, ScanBy};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Failure;

const CALL: &str = "cloudwatch:GetMetricData";

/// How what was measured in a period becomes one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// All together.
    Sum,
    /// The smallest.
    Minimum,
    /// The largest.
    Maximum,
    /// The middle.
    Average,
}

impl Statistic {
    const fn name(self) -> &'static str {
        match self {
            Self::Sum => "Sum",
            Self::Minimum => "Minimum",
            Self::Maximum => "Maximum",
            Self::Average => "Average",
        }
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// `AWS/EFS`, …
    pub namespace: &'a str,
    /// Of what: the names and the values of all its dimensions.
    pub of: &'a [(&'a str, &'a str)],
    /// The metrics, and which statistic of each.
    pub metrics: &'a [(&'a str, Statistic)],
    /// From when on.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// How long what is put together is; whole minutes.
    pub period: Duration,
}

/// What a metric was in one period.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// When the period began.
    pub at: Timestamp,
    /// The number, in the metric's own unit.
    pub value: f64,
}

/// The points of each metric, the oldest first, in one call; those of which there is none are empty.
///
/// # Errors
/// Among all else: the answer does not hold all that was asked for.
pub async fn metrics(
    config: &SdkConfig,
    question: &Question<'_>,
) -> Result<BTreeMap<String, Vec<Point>>, Failure> {
    let queries = question.metrics.iter().enumerate().map(|(index, (name, statistic))| {
        let of = question.of.iter();
        let of = of.map(|(key, value)| Dimension::builder().name(*key).value(*value).build());
        let metric = Metric::builder().namespace(question.namespace).metric_name(*name);
        let seconds = i32::try_from(question.period.as_secs()).unwrap_or(60);
        let stat = MetricStat::builder()
            .metric(metric.set_dimensions(Some(of.collect())).build())
            .period(seconds)
            .stat(statistic.name())
            .build();
        MetricDataQuery::builder().id(format!("m{index}")).metric_stat(stat).build()
    });
    let mut found: BTreeMap<String, Vec<Point>> =
        question.metrics.iter().map(|(name, _)| ((*name).to_owned(), Vec::new())).collect();
    let mut answers = Client::new(config)
        .get_metric_data()
        .set_metric_data_queries(Some(queries.collect()))
        .start_time(DateTime::from_secs(question.from.as_second()))
        .end_time(DateTime::from_secs(question.until.as_second()))
        .scan_by(ScanBy::TimestampAscending)
        .into_paginator()
        .send();
    while let Some(answer) = answers.next().await {
        let answer = answer.map_err(|error| Failure::new(CALL, &error))?;
        for result in answer.metric_data_results() {
            let index = result.id().and_then(|id| id.strip_prefix('m')?.parse::<usize>().ok());
            let Some((name, _)) = index.and_then(|it| question.metrics.get(it)) else { continue };
            let points = result.timestamps().iter().zip(result.values());
            let points = points.filter_map(|(at, value)| {
                Some(Point { at: Timestamp::from_second(at.secs()).ok()?, value: *value })
            });
            found.entry((*name).to_owned()).or_default().extend(points);
        }
    }
    for points in found.values_mut() {
        points.sort_by_key(|point| point.at);
    }
    Ok(found)
}
