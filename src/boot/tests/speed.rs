//! How long a whole boot takes where every answer takes as long as on EC2: what `make bench-boot`
//! prints.

use std::time::Instant;

use super::*;

/// So long EC2's metadata service takes over an answer, and an endpoint of AWS in the region.
const METADATA: Duration = Duration::from_millis(1);
const API: Duration = Duration::from_millis(5);

const BOOTS: usize = 50;

#[tokio::test]
#[ignore = "a measurement: `make bench-boot` runs it"]
async fn fifty_boots_with_the_latencies_of_ec2() {
    let mut times = Vec::new();
    let mut last = None;
    for _ in 0..BOOTS {
        let world = World::new().await;
        world.cloud.lock().unwrap().latency = Some((METADATA, API));
        let began = Instant::now();
        world.boot().await.unwrap();
        times.push(began.elapsed());
        let asked = world.cloud.lock().unwrap().asked.clone();
        last = Some((world.status(), asked));
    }
    times.sort_unstable();
    let (status, asked) = last.expect("there was a boot");
    assert_eq!(status.state, State::Ready);
    let metadata = asked.iter().filter(|what| what.starts_with('/')).count();
    let (half, most) = (times[BOOTS / 2], times[BOOTS * 95 / 100]);
    println!("bench: boot, 1 ms a metadata answer, 5 ms an AWS answer, {BOOTS} times:");
    println!("bench:   p50 {half:.0?}   p95 {most:.0?}   aim: p50 < 500 ms");
    println!("bench:   {metadata} metadata requests (≤ 10), {} of AWS", asked.len() - metadata);
    for step in &status.report.steps {
        let (at, took) = (step.at * 1000.0, step.took * 1000.0);
        println!("bench:   {:<10} from {at:6.0} ms  {took:6.0} ms", step.step);
    }
}
