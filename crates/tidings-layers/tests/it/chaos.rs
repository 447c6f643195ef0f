//! Chaos strikes as often as configured, and never whom it must spare.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tidings_core::{Error, ErrorKind, Outcome, Reply};
use tidings_layers::{Chaos, ChaosConfig, ChaosLayer, PublishChaos};
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use crate::fakes::{end, handler, poll, start};

fn chaotic(
    config: ChaosConfig,
) -> (
    Chaos<impl Service<tidings_core::Call, Response = Reply, Error = Error, Future: Sized> + Clone>,
    Arc<AtomicU32>,
) {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let handler = handler(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Ok(Reply::empty()))
    });
    (ChaosLayer::new(config).unwrap().layer(handler), calls)
}

fn protecting(key: &str) -> ChaosConfig {
    ChaosConfig {
        nack: 1.0,
        failure: 1.0,
        protected: vec!["store".to_owned(), key.to_owned()],
        ..ChaosConfig::default()
    }
}

#[test]
fn a_nack_gives_the_message_back_without_calling_the_handler() {
    let (mut service, calls) = chaotic(ChaosConfig {
        nack: 1.0,
        ..ChaosConfig::default()
    });
    let error = end(start(&mut service)).unwrap_err();
    assert_eq!(error.outcome(), Outcome::Requeue);
    assert_eq!(calls.load(Ordering::Relaxed), 0);
}

#[test]
fn a_failure_counts_as_one_of_the_handler() {
    let (mut service, calls) = chaotic(ChaosConfig {
        failure: 1.0,
        ..ChaosConfig::default()
    });
    let error = end(start(&mut service)).unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Handler, Outcome::Retry)
    );
    assert!(error.to_string().contains("simulated by chaos"), "{error}");
    assert_eq!(calls.load(Ordering::Relaxed), 0);
}

#[test]
fn a_protected_routing_key_is_spared() {
    fn check(key: &str, spared: bool) {
        let (mut service, calls) = chaotic(protecting(key));
        assert_eq!(end(start(&mut service)).is_ok(), spared, "{key}");
        assert_eq!(calls.load(Ordering::Relaxed), u32::from(spared), "{key}");
    }
    check("user_created", true);
    check("user_created ", false);
    check("retry.user_created", false);
}

#[tokio::test(start_paused = true)]
async fn the_delay_spares_nobody_and_comes_before_a_failure() {
    async fn check(config: ChaosConfig, succeeds: bool) {
        let config = ChaosConfig {
            delay: Duration::from_secs(2),
            ..config
        };
        let (mut service, calls) = chaotic(config);
        let started = Instant::now();
        let mut future = start(&mut service);
        assert!(poll(&mut future).is_pending());
        assert_eq!(calls.load(Ordering::Relaxed), 0, "not before the delay");
        assert_eq!(future.await.is_ok(), succeeds);
        assert_eq!(started.elapsed().as_secs(), 2);
    }
    check(ChaosConfig::default(), true).await;
    check(protecting("user_created"), true).await;
    let failing = ChaosConfig {
        failure: 1.0,
        ..ChaosConfig::default()
    };
    check(failing, false).await;
}

#[test]
fn strikes_as_often_as_configured_and_the_seed_decides_whom() {
    let run = || {
        let (service, _) = chaotic(ChaosConfig {
            failure: 0.25,
            seed: Some(42),
            ..ChaosConfig::default()
        });
        let strikes = (0..1_000).map(|_| end(start(&mut service.clone())).is_err());
        strikes.collect::<Vec<_>>()
    };
    let first = run();
    let struck = first.iter().filter(|struck| **struck).count();
    assert!(
        (200..300).contains(&struck),
        "clones draw from one source: {struck}"
    );
    assert_eq!(first, run());
}

#[test]
fn zero_never_strikes() {
    let (service, calls) = chaotic(ChaosConfig::default());
    for _ in 0..1_000 {
        end(start(&mut service.clone())).unwrap();
    }
    assert_eq!(calls.load(Ordering::Relaxed), 1_000);
    assert_eq!(ChaosLayer::off().describe(), "chaos: off");
}

#[test]
fn a_probability_out_of_range_is_refused() {
    for nack in [-0.1, 1.1, f64::NAN] {
        let config = ChaosConfig {
            nack,
            ..ChaosConfig::default()
        };
        let error = ChaosLayer::new(config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert!(error.to_string().contains("nack"), "{error}");
    }
}

#[test]
fn publish_chaos_strikes_only_if_configured() {
    let error = PublishChaos::new(1.0).unwrap().strike().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    PublishChaos::new(0.0).unwrap().strike().unwrap();
    assert_eq!(
        PublishChaos::new(1.5).unwrap_err().kind(),
        ErrorKind::Misuse
    );
}
