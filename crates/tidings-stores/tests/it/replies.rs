//! A request is handled by one, and answered to all as the one was. The store in memory promises the same.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::future::join_all;
use tidings_core::{
    ErrorKind, Payload,
    reply_store::{Claim, Claimed, MemoryReplies, ReplyStore},
};

use crate::home::LONG;

/// Two processes, or two parts of one.
type Pair = [Arc<dyn ReplyStore>; 2];

pub(crate) async fn fresh(store: &dyn ReplyStore, key: &str) -> Claimed {
    match store.claim(key).await.unwrap() {
        Claim::Fresh(claimed) => claimed,
        other => panic!("`{key}` is {other:?}"),
    }
}

pub(crate) async fn known(store: &dyn ReplyStore, key: &str) -> Option<Payload> {
    match store.claim(key).await.unwrap() {
        Claim::Known(reply) => reply,
        other => panic!("`{key}` is {other:?}"),
    }
}

/// As [`fresh`], of a request that was given up: giving it back takes a moment.
pub(crate) async fn in_the_end_fresh(store: &dyn ReplyStore, key: &str) -> Claimed {
    let limit = Duration::from_secs(10);
    let asked = tokio::time::timeout(limit, async {
        loop {
            match store.claim(key).await.unwrap() {
                Claim::Fresh(claimed) => return claimed,
                Claim::Taken(ended) => ended.await,
                Claim::Known(_) => panic!("`{key}` was given up"),
            }
        }
    });
    asked.await.unwrap()
}

async fn a_reply_is_repeated_as_it_was([one, other]: Pair) {
    let bytes: Vec<u8> = (0..=255).collect();
    let replies = [
        Some(Payload::json("{\"success\": true}")),
        Some(Payload::new(bytes)),
        Some(Payload::new("")),
        None,
    ];
    for (number, reply) in replies.into_iter().enumerate() {
        let key = format!("create_site {number}");
        let claimed = fresh(&*one, &key).await;
        claimed.keep(reply.clone(), LONG).await.unwrap();
        for store in [&one, &other] {
            assert_eq!(known(&**store, &key).await, reply, "{key}");
        }
    }
}

async fn who_comes_while_it_is_handled_waits_for_the_reply([one, other]: Pair) {
    let claimed = fresh(&*one, "a").await;
    let mut waiting = Vec::new();
    for store in [&one, &other] {
        let Claim::Taken(ended) = store.claim("a").await.unwrap() else {
            panic!("it is being handled");
        };
        waiting.push(ended);
    }
    let reply = Some(Payload::new("done"));
    claimed.keep(reply.clone(), LONG).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), join_all(waiting))
        .await
        .unwrap();
    assert_eq!(known(&*other, "a").await, reply);
}

async fn what_is_given_up_is_handled_by_the_next([one, other]: Pair) {
    drop(fresh(&*one, "a").await);
    in_the_end_fresh(&*other, "a").await;
}

async fn one_of_many_handles_it(pair: Pair) {
    let asked = join_all((0..16).map(|turn| pair[turn % 2].claim("a"))).await;
    let claims: Vec<_> = asked.into_iter().map(Result::unwrap).collect();
    let fresh = claims
        .iter()
        .filter(|claim| matches!(claim, Claim::Fresh(_)));
    assert_eq!(fresh.count(), 1, "{claims:?}");
}

async fn a_reply_is_forgotten_in_time([one, other]: Pair) {
    let brief = Duration::from_millis(300);
    fresh(&*one, "a").await.keep(None, brief).await.unwrap();
    known(&*other, "a").await;
    tokio::time::timeout(LONG, async {
        while !matches!(other.claim("a").await.unwrap(), Claim::Fresh(_)) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

async fn requests_are_known_by_their_whole_key([one, _]: Pair) {
    let long = "x".repeat(10_000);
    let keys = ["", "a", "A", "a ", "a\0", &long, &format!("{long}x")];
    let mut claims = Vec::new();
    for key in keys {
        claims.push(fresh(&*one, key).await);
    }
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), claims.len());
}

async fn who_stops_asking_keeps_no_claim([one, other]: Pair) {
    for micros in 0..40 {
        let impatient = Duration::from_micros(micros * 50);
        // It may have been served in time, and is given back then as well.
        drop(tokio::time::timeout(impatient, one.claim("a")).await);
    }
    in_the_end_fresh(&*other, "a").await;
}

async fn what_is_too_large_is_said_and_not_kept([one, other]: Pair) {
    let large = Some(Payload::new(vec![b'x'; 2000]));
    let refused = fresh(&*one, "a").await.keep(large, LONG).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Full);
    in_the_end_fresh(&*other, "a").await;
}

macro_rules! on_all {
    ($($behaviour:ident),+ $(,)?) => {
        mod memory {
            use super::*;

            $(#[tokio::test]
            async fn $behaviour() {
                let store = MemoryReplies::bounded(1000, 1999);
                super::$behaviour([Arc::new(store.clone()), Arc::new(store)]).await;
            })+
        }
        mod stores {
            use tidings_stores::Settings;

            use super::*;
            use crate::home::Home;

            async fn pair(home: &Home) -> Pair {
                let settings = Settings::default().with_reply_bytes(1999);
                let [one, other] =
                    [home.open_with(settings.clone()).await, home.open_with(settings).await];
                [one.replies(), other.replies()]
            }

            $(async fn $behaviour(home: &Home) {
                super::$behaviour(pair(home).await).await;
            })+
            crate::on_both!($($behaviour),+);
        }
    };
}

on_all!(
    a_reply_is_repeated_as_it_was,
    who_comes_while_it_is_handled_waits_for_the_reply,
    what_is_given_up_is_handled_by_the_next,
    one_of_many_handles_it,
    a_reply_is_forgotten_in_time,
    requests_are_known_by_their_whole_key,
    who_stops_asking_keeps_no_claim,
    what_is_too_large_is_said_and_not_kept,
);
