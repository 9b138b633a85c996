//! What goes on while the database is away: nothing, unless the operator wants validations to.

use archstone_db::testing::Way;
use serde_json::Value;

use super::{Cloud, kind, log_in, on_each_cloud};
use crate::Core;
use crate::error::ErrorKind;
use crate::token::Validation;

/// As a request does it.
async fn validate(core: &Core, text: &str) -> Option<ErrorKind> {
    let moment = match core.token.observe().await {
        Ok(moment) => moment,
        Err(error) => return Some(error.kind),
    };
    kind(core.token.validate_at(moment, text, Validation::of_caller()).await)
}

fn is_unavailable(kind: Option<&ErrorKind>) -> bool {
    matches!(kind, Some(ErrorKind::Unavailable { .. }))
}

#[tokio::test]
async fn tokens_in_memory_are_validated_for_as_long_as_the_operator_wants() {
    on_each_cloud(async |cloud: &Cloud| {
        let Some(way) = Way::to(&cloud.database.url).await.unwrap() else { return };
        let patient = cloud.node_at(&way.url, "patient", "[cache]\nserve_stale_for = 3600\n").await;
        let strict = cloud.node_at(&way.url, "strict", "").await;
        let known = cloud.work_token(&patient).await.text;
        for core in [&patient, &strict] {
            assert_eq!(validate(core, &known).await, None);
        }
        way.cut().await;
        assert!(is_unavailable(validate(&strict, &known).await.as_ref()));
        for _ in 0..3 {
            assert_eq!(validate(&patient, &known).await, None);
        }
        assert!(is_unavailable(kind(log_in(&patient, "alice", "pw", Value::Null).await).as_ref()), "nobody logs in");
        assert!(is_unavailable(kind(patient.token.validate(&known, Validation::default()).await).as_ref()));
    })
    .await;
}
