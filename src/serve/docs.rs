//! `/docs`: OpenAPI, made from the views and the routes; and the same as a page.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use eddy_schemas::{Column, Kind, Path, View};
use utoipa::openapi::path::{OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ArrayBuilder, ArrayItems, KnownFormat, ObjectBuilder, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, HttpMethod, InfoBuilder, OpenApi, OpenApiBuilder, PathItem, PathsBuilder, Ref, RefOr, Required,
    ResponseBuilder, Schema,
};

use super::{Shared, batch, key, problem, reads, route};
use crate::messenger::TEXT_CHARACTERS_MAX;

/// Made once: views do not change while eddy runs.
pub struct Docs {
    json: String,
    html: String,
}

/// A route that no view makes.
struct Fixed {
    path: &'static str,
    method: HttpMethod,
    says: &'static str,
    media: &'static str,
}

const FIXED: [Fixed; 13] = [
    get("/v1/views", "Every view, with its columns and what they mean.", "application/json"),
    get(
        "/v1/views/{view}",
        "Rows of any view, a page at a time. `key`, once for each of the key's first columns, narrows them; without it, all rows.",
        "application/json",
    ),
    get(
        "/v1/stream",
        "Server-sent events: `status` when something changed, at most four a second and at least one in two; `id` is the tick. With `chat`, the sandbox \
         chat too: `message`, `edit`, `delete`, `notice`; then `id` is of those, to go on from (`Last-Event-ID`).",
        "text/event-stream",
    ),
    get("/health", "Each component's state and last error; always 200.", "application/json"),
    get("/livez", "200 while the process answers.", "text/plain"),
    get("/readyz", "200 while reads are served, else 503.", "text/plain"),
    get("/metrics", "Prometheus text.", "text/plain"),
    get("/docs", "This page.", "text/html"),
    get("/docs/openapi.json", "This, as OpenAPI.", "application/json"),
    get("/", "The live page.", "text/html"),
    post("/v1/batch", "Rows of many keys, of any views, in the order asked and as of one tick; null where there is no row."),
    post("/chat/messages", "Says something in the sandbox chat."),
    post("/chat/callback", "Presses a button under a message of the sandbox chat."),
];

/// The routes that are there: those of the chat only with it.
fn fixed(has_chat: bool) -> impl Iterator<Item = &'static Fixed> {
    FIXED.iter().filter(move |fixed| has_chat || !fixed.path.starts_with("/chat/"))
}

const fn get(path: &'static str, says: &'static str, media: &'static str) -> Fixed {
    Fixed { path, method: HttpMethod::Get, says, media }
}

const fn post(path: &'static str, says: &'static str) -> Fixed {
    Fixed { path, method: HttpMethod::Post, says, media: "application/json" }
}

impl Docs {
    pub fn new(views: &[&'static View], has_chat: bool) -> Self {
        let json = openapi(views, has_chat).to_pretty_json().expect("OpenAPI serializes");
        Docs { json, html: page(views, has_chat) }
    }
}

pub async fn json(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")], shared.docs.json.clone())
}

pub async fn html(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")], shared.docs.html.clone())
}

fn openapi(views: &[&'static View], has_chat: bool) -> OpenApi {
    let mut paths = PathsBuilder::new();
    let mut components = ComponentsBuilder::new().schema("Problem", problem_schema());
    for view in views {
        components = components.schema(view.name, row_schema(view));
        if let Some(path) = route(view) {
            paths = paths.path(path, PathItem::new(HttpMethod::Get, view_operation(view)));
        }
    }
    for fixed in fixed(has_chat) {
        let mut operation = OperationBuilder::new().summary(Some(fixed.says)).operation_id(Some(operation_id(fixed.path)));
        let schema = match fixed.path {
            "/v1/batch" => {
                operation = operation.request_body(Some(body(batch_schema())));
                list_schema(ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::Object, Type::Null])), false)
            }
            "/v1/views/{view}" => {
                let names = views.iter().map(|view| view.name);
                let view = ParameterBuilder::new().name("view").parameter_in(ParameterIn::Path).required(Required::True);
                operation = operation.parameter(view.schema(Some(string().enum_values(Some(names)))));
                operation = operation.parameter(query_parameter(
                    "key",
                    "A column of the key, as the view's own route takes it.",
                    ArrayBuilder::new().items(string()).build(),
                ));
                for parameter in paging() {
                    operation = operation.parameter(parameter);
                }
                list_schema(ObjectBuilder::new().schema_type(Type::Object), true)
            }
            "/v1/views" => views_schema(),
            "/v1/stream" => {
                let means = "The chat's events are wanted too: those after this id of one, all that are kept where it is empty.";
                operation = operation.parameter(query_parameter("chat", means, string()));
                string().build()
            }
            "/health" => health_schema(),
            "/chat/messages" | "/chat/callback" => {
                operation = operation.request_body(Some(body(chat_schema(fixed.path))));
                taken_schema()
            }
            _ => ObjectBuilder::new().schema_type(if fixed.media == "application/json" { Type::Object } else { Type::String }).build(),
        };
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let operation = operation
            .response("200", ResponseBuilder::new().description(fixed.says).content(fixed.media, content).build())
            .response("default", problem_response());
        paths = paths.path(fixed.path, PathItem::new(fixed.method.clone(), operation.build()));
    }
    let info = InfoBuilder::new()
        .title("eddy")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Exact, live numbers from what people write on Reddit and Telegram."))
        .build();
    OpenApiBuilder::new().info(info).paths(paths.build()).components(Some(components.build())).build()
}

fn operation_id(path: &str) -> String {
    let name = path.trim_matches('/').replace(['/', '.'], "_");
    if name.is_empty() { "page".into() } else { name }
}

fn view_operation(view: &'static View) -> OperationBuilder {
    let first = &view.key[0];
    let parameter = ParameterBuilder::new()
        .name(first.name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(format!("{} As {}.", first.means, key::form(first))))
        .schema(Some(string()))
        .example(Some(key::example(first).into()));
    let mut operation = OperationBuilder::new().tag(view.name).summary(Some(view.means)).operation_id(Some(view.name)).parameter(parameter);
    let row = Ref::from_schema_name(view.name);
    let body: RefOr<Schema> = match view.path {
        Path::Many(..) => {
            for parameter in paging() {
                operation = operation.parameter(parameter);
            }
            Schema::from(list_schema(RefOr::<Schema>::from(row), true)).into()
        }
        _ => {
            operation =
                operation.response("304", ResponseBuilder::new().description("The row is the one that If-None-Match names.").build());
            row.into()
        }
    };
    let content = ContentBuilder::new().schema(Some(body)).build();
    operation
        .response("200", ResponseBuilder::new().description(view.means).content("application/json", content).build())
        .response("400", problem_response())
        .response("404", problem_response())
        .response("503", problem_response())
}

fn query_parameter(name: &str, means: &str, schema: impl Into<RefOr<Schema>>) -> ParameterBuilder {
    ParameterBuilder::new().name(name).parameter_in(ParameterIn::Query).description(Some(means)).schema(Some(schema))
}

fn paging() -> [ParameterBuilder; 2] {
    let limit = format!("Rows of a page, 1 to {}; {} unless given.", reads::LIMIT_MAX, reads::LIMIT);
    [query_parameter("limit", &limit, integer()), query_parameter("cursor", "The `next` of the page before.", string())]
}

/// What [`super::views::list`] answers.
fn views_schema() -> utoipa::openapi::Object {
    let kinds = [Kind::Int, Kind::Key, Kind::Display, Kind::Id, Kind::Text].map(|kind| serde_json::to_value(kind).expect("a word"));
    let field = ObjectBuilder::new()
        .property("name", string())
        .property("kind", string().enum_values(Some(kinds)))
        .property("nullable", ObjectBuilder::new().schema_type(Type::Boolean))
        .property("means", string());
    let fields = ArrayBuilder::new().items(field.build()).build();
    let route = string().schema_type(SchemaType::from_iter([Type::String, Type::Null]));
    let view = ObjectBuilder::new()
        .property("name", string())
        .property("means", string())
        .property("built", ObjectBuilder::new().schema_type(Type::Boolean).description(Some("Whether its rows can be read here.")))
        .property("route", route.description(Some("Its own route, where it has one.")))
        .property("key", fields.clone())
        .property("columns", fields);
    ObjectBuilder::new().property("views", ArrayBuilder::new().items(view)).required("views").build()
}

fn row_schema(view: &View) -> Schema {
    let mut object = ObjectBuilder::new().description(Some(view.means));
    for column in view.all_columns() {
        object = object.property(column.name, column_schema(column)).required(column.name);
    }
    object.property("as_of", integer().description(Some("The tick of the row's last change."))).required("as_of").build().into()
}

fn column_schema(column: &Column) -> ObjectBuilder {
    let of = if column.kind == Kind::Int { integer() } else { string() };
    let of = if column.nullable {
        of.schema_type(SchemaType::from_iter([if column.kind == Kind::Int { Type::Integer } else { Type::String }, Type::Null]))
    } else {
        of
    };
    of.description(Some(column.means))
}

fn list_schema(row: impl Into<ArrayItems>, paged: bool) -> utoipa::openapi::Object {
    let mut object = ObjectBuilder::new()
        .property("rows", ArrayBuilder::new().items(row))
        .required("rows")
        .property("as_of", tick_schema("The closed tick that every row here is as of; null before the first."))
        .required("as_of");
    if paged {
        let next = string().schema_type(SchemaType::from_iter([Type::String, Type::Null]));
        object = object.property("next", next.description(Some("The next page's cursor; null at the end."))).required("next");
    }
    object.build()
}

fn batch_schema() -> utoipa::openapi::Object {
    let key = ObjectBuilder::new()
        .property("view", string())
        .required("view")
        .property("key", ArrayBuilder::new().items(ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::String, Type::Integer]))))
        .required("key");
    ObjectBuilder::new().property("keys", ArrayBuilder::new().items(key).max_items(Some(batch::KEYS_MAX))).required("keys").build()
}

fn body(schema: utoipa::openapi::Object) -> utoipa::openapi::request_body::RequestBody {
    let content = ContentBuilder::new().schema(Some(schema)).build();
    RequestBodyBuilder::new().required(Some(Required::True)).content("application/json", content).build()
}

/// What the chat takes.
fn chat_schema(path: &str) -> utoipa::openapi::Object {
    let text = string().min_length(Some(1)).max_length(Some(TEXT_CHARACTERS_MAX));
    let object = if path == "/chat/messages" {
        let answered = integer().description(Some("The `message_id` that is answered."));
        ObjectBuilder::new().property("text", text).required("text").property("reply_to", answered)
    } else {
        let object = ObjectBuilder::new().property("message_id", integer()).required("message_id");
        object.property("data", string().description(Some("The button's."))).required("data")
    };
    let session =
        string().description(Some("Tells people apart; without it the cookie `eddy_chat` does, which is set where it is not there."));
    object.property("session", session).property("name", string().description(Some("What to call somebody who is new."))).build()
}

/// What the chat answers ([`crate::messenger::sandbox::Taken`]).
fn taken_schema() -> utoipa::openapi::Object {
    let mut object = ObjectBuilder::new();
    for field in ["update_id", "message_id", "user_id"] {
        object = object.property(field, integer()).required(field);
    }
    object.property("name", string()).required("name").build()
}

/// What [`super::health::health`] answers.
fn health_schema() -> utoipa::openapi::Object {
    let all = |object: ObjectBuilder, fields: &[&str]| fields.iter().fold(object, |object, field| object.required(*field));
    let error = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .property("message", string())
        .property("at_ms", integer());
    let component = ObjectBuilder::new()
        .property("name", string())
        .property("state", string().enum_values(Some(["starting", "recovering", "ready", "failed"])))
        .property("message", string().description(Some("Why it failed; only then.")))
        .property("since_ms", integer())
        .property("last_error", all(error, &["message", "at_ms"]));
    let component = all(component, &["name", "state", "since_ms", "last_error"]);
    let partition =
        ObjectBuilder::new().property("name", string()).property("state", string().enum_values(Some(["active", "idle", "stalled"])));
    let kept = |what: &str| {
        let means = format!("How long {what}, seconds of event time; null: for ever.");
        integer().schema_type(SchemaType::from_iter([Type::Integer, Type::Null])).description(Some(means))
    };
    let retention = ObjectBuilder::new()
        .property("messages_s", kept("messages stay, after they were created"))
        .property("hours_s", kept("rows of hours stay, after those have ended"))
        .property("days_s", kept("rows of days stay, after those have ended"));
    let watermark = "Event time up to which records are taken to be in, seconds since 1970; 0 before there is any.";
    let health = ObjectBuilder::new()
        .property("status", string().enum_values(Some(["starting", "recovering", "ready", "degraded"])))
        .property("version", string())
        .property("uptime_s", integer())
        .property("tick", tick_schema("The last tick that closed; null before the first."))
        .property("watermark", integer().description(Some(watermark)))
        .property("retention", all(retention, &["messages_s", "hours_s", "days_s"]))
        .property("partitions", ArrayBuilder::new().items(all(partition, &["name", "state"])))
        .property("components", ArrayBuilder::new().items(component));
    all(health, &["status", "version", "uptime_s", "tick", "watermark", "retention", "partitions", "components"]).build()
}

fn tick_schema(means: &str) -> ObjectBuilder {
    integer().schema_type(SchemaType::from_iter([Type::Integer, Type::Null])).description(Some(means))
}

fn problem_schema() -> Schema {
    let mut object = ObjectBuilder::new().description(Some("An error (RFC 9457)."));
    for field in ["type", "title", "detail", "instance"] {
        object = object.property(field, string()).required(field);
    }
    object.property("status", integer()).required("status").build().into()
}

fn problem_response() -> utoipa::openapi::Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description("A problem.").content("application/problem+json", content).build()
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn integer() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
}

const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width,initial-scale=1\">\
<title>eddy: the API</title><link rel=icon href=/icon.svg><link rel=stylesheet href=/page.css>\
<body class=docs><header class=bar><a class=brand href=/><svg viewBox=\"0 0 32 32\" aria-hidden=true><path d=\"M27 16a11 11 0 1 0-11 11c5 0 8.5-3.6 8.5-8S21 11.5 17 11.5s-6.5 2.8-6.5 6 2.3 5.3 5 5.3 4.2-1.8 4.2-4\"/></svg>eddy</a><nav><a href=/>Live</a> <a href=/docs aria-current=page>API</a></nav></header>\
<main class=prose><h1>The API</h1><p>Rows of every view over HTTP; all rows of one answer are as of the closed tick in <code>eddy-tick</code> (milliseconds since 1970; none before the first record). A row carries <code>as_of</code>, \
the tick of its last change, and an <code>ETag</code>. As OpenAPI: <a href=/docs/openapi.json>/docs/openapi.json</a>.</p>";

fn page(views: &[&'static View], has_chat: bool) -> String {
    let mut html = String::from(HEAD);
    html.push_str("<h2>Views</h2>");
    for view in views {
        view_section(view, &mut html);
    }
    html.push_str("<h2>Everything else</h2><dl class=routes>");
    for fixed in fixed(has_chat) {
        let method = if fixed.method == HttpMethod::Post { "POST" } else { "GET" };
        put(&mut html, format_args!("<dt><code>{method} {}</code><dd>{}", fixed.path, escape(fixed.says)));
    }
    put(
        &mut html,
        format_args!(
            "</dl><p>A batch asks for up to {} keys: <code>{{\"keys\":[{{\"view\":\"users\",\"key\":[\"reddit:spez\"]}}]}}</code>. Lists take \
             <code>limit</code> (to {}) and <code>cursor</code>, the <code>next</code> of the page before.</p>",
            batch::KEYS_MAX,
            reads::LIMIT_MAX
        ),
    );
    html.push_str(
        "<h2>Problems</h2><p>Every error is <code>application/problem+json</code>; its <code>type</code> leads here.</p><dl class=routes>",
    );
    for of in problem::ALL {
        put(&mut html, format_args!("<dt id={0}><code>{1} {0}</code><dd>{2}.", of.slug, of.status.as_u16(), of.title));
    }
    html.push_str("</dl></main>");
    html
}

fn view_section(view: &'static View, html: &mut String) {
    let route = route(view)
        .map_or_else(|| format!("<code>GET /v1/views/{}</code>", view.name), |route| format!("<code>GET {}</code>", escape(&route)));
    put(
        html,
        format_args!(
            "<section id={0}><h3>{0}</h3><p>{1}</p><p>{route}</p><div class=scroll><table><thead><tr><th>column<th>kind<th>what it is<tbody>",
            view.name,
            escape(view.means.trim())
        ),
    );
    for (i, column) in view.all_columns().enumerate() {
        let role = if i < view.key.len() { "key" } else { "" };
        let kind = if column.kind == Kind::Int { "integer" } else { "string" };
        let null = if column.nullable { " or null" } else { "" };
        put(
            html,
            format_args!("<tr><td><code>{}</code> <small>{role}</small><td>{kind}{null}<td>{}", column.name, escape(column.means.trim())),
        );
    }
    html.push_str("</table></div></section>");
}

fn put(html: &mut String, args: std::fmt::Arguments<'_>) {
    html.write_fmt(args).expect("a string takes what it is given");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
