//! `/v1/views`: any view by its name.

use super::*;

const ANN: &str = "key=reddit:serve%2Fann%20x";

async fn listed(router: &Router, path: &str) -> Vec<Value> {
    let answer = get(router, path).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
    answer.json()["rows"].as_array().expect("rows").clone()
}

#[tokio::test]
async fn every_view_is_described_also_one_that_is_not_built() {
    let listed = get(&router(app()), "/v1/views").await.json();
    let listed = listed["views"].as_array().expect("views");
    for (view, listed) in VIEWS.iter().chain([&Sessions::VIEW]).zip(listed) {
        assert_eq!((listed["name"].as_str(), listed["built"].as_bool()), (Some(view.name), Some(view.name != "sessions")));
        let fields = listed["key"].as_array().into_iter().chain(listed["columns"].as_array()).flatten();
        let fields: Vec<_> = fields.map(|field| (field["name"].clone(), field["nullable"].clone(), field["means"].clone())).collect();
        let columns: Vec<_> =
            view.all_columns().map(|column| (json!(column.name), json!(column.nullable), json!(column.means.trim()))).collect();
        assert_eq!(fields, columns, "{}", view.name);
    }
    assert_eq!(listed.len(), VIEWS.len() + 1);
    assert_eq!(listed[2]["route"], "/v1/users/{user}/hours");
    assert_eq!(listed[6]["columns"][7]["kind"], "text");
}

#[tokio::test]
async fn all_rows_of_any_view_are_listed_a_page_at_a_time() {
    let router = router(app());
    for (view, count) in [("users", 2), ("conversations", 1), ("user_hours", HOURS as usize), ("replies", 0), ("top_users", 1)] {
        let (mut seen, mut cursor) = (BTreeSet::new(), String::new());
        loop {
            let page = get(&router, &format!("/v1/views/{view}?limit=7{cursor}")).await.json();
            seen.extend(page["rows"].as_array().expect("rows").iter().map(Value::to_string));
            assert_eq!(page["as_of"], 4_000);
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen.len(), count, "{view}");
    }
}

#[tokio::test]
async fn a_key_narrows_to_what_starts_with_it() {
    let router = router(app());
    let own = get(&router, "/v1/users/reddit:serve%2Fann%20x").await.json();
    assert_eq!(listed(&router, &format!("/v1/views/users?{ANN}")).await, [own]);
    assert_eq!(listed(&router, &format!("/v1/views/user_hours?{ANN}&limit=1000")).await.len(), HOURS as usize);
    let hour = listed(&router, &format!("/v1/views/user_hours?{ANN}&key=30")).await;
    assert_eq!((hour.len(), &hour[0]["messages"]), (1, &json!(31)));
    assert_eq!(listed(&router, "/v1/views/user_hours?key=telegram:-100777").await, [] as [Value; 0], "known, but with no hours");
}

#[tokio::test]
async fn what_cannot_be_listed_is_a_problem() {
    let router = router(app());
    problem(&get(&router, "/v1/views/nothing").await, 404, "view-not-built");
    problem(&get(&router, "/v1/views/%FF").await, 404, "view-not-built");
    problem(&get(&router, "/v1/views/sessions").await, 404, "view-not-built");
    problem(&get(&router, "/v1/views/users?key=reddit:serve_nobody").await, 404, "no-row");
    problem(&get(&router, "/v1/views/user_hours?key=reddit:serve_nobody").await, 404, "no-row");
    problem(&get(&router, &format!("/v1/views/user_hours?{ANN}&key=9999")).await, 404, "no-row");
    assert_eq!(Name::find("reddit:serve_nobody"), None, "looking it up must not intern it");
    for key in ["key=ann", "key=", &format!("{ANN}&key=1&key=2"), &format!("{ANN}&key=x")] {
        problem(&get(&router, &format!("/v1/views/user_hours?{key}")).await, 400, "malformed-key");
    }
    for query in ["limit=0", "limit=1001", "limit=x", "limit=1&limit=2", "cursor=a&cursor=b"] {
        problem(&get(&router, &format!("/v1/views/user_hours?{query}")).await, 400, "bad-query");
    }
    let next = get(&router, "/v1/views/user_hours?limit=1").await.json()["next"].as_str().expect("more").to_owned();
    problem(&get(&router, &format!("/v1/views/user_hours?{ANN}&cursor={next}")).await, 400, "bad-cursor");
    problem(&get(&router, &format!("/v1/views/users?cursor={next}")).await, 400, "bad-cursor");
    let telemetry = Arc::new(Telemetry::new());
    let starting = super::router(App::new(VIEWS.to_vec(), Arc::new(super::rows()), Arc::new(Spoken), telemetry));
    problem(&get(&starting, "/v1/views/users").await, 503, "not-ready");
    assert_eq!(get(&starting, "/v1/views").await.status, StatusCode::OK, "what there is does not depend on rows");
}
