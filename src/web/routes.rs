//! Which request goes where; who may ask; and the headers that stand on every answer.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use warp::filters::BoxedFilter;
use warp::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CONTENT_SECURITY_POLICY, HOST, HeaderMap, HeaderName,
    HeaderValue, ORIGIN, REFERRER_POLICY, UPGRADE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use warp::http::{Method, StatusCode};
use warp::path::FullPath;
use warp::reply::Response as Reply;
use warp::{Filter, Rejection};

use super::Site;
use super::assets::Asset;
use super::connection::Peer;
use super::hub::Feed;
use super::log::{Form, Held, Readiness};
use super::metrics::Transport;
use super::reply::Refusal;
use super::sse::Ids;
use super::stream::{Options, Session, several, view_name};
use super::{api, sse, websocket};

/// Everything comes from here, and nothing runs that is written inside the page: text from Wikipedia that became markup by a
/// mistake would still not run.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// On every answer.
const HEADERS: [(HeaderName, &str); 3] = [
    (CONTENT_SECURITY_POLICY, CONTENT_POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
];

/// A request: what handlers need of it.
struct Request {
    method: Method,
    path: FullPath,
    query: HashMap<String, String>,
    headers: HeaderMap,
    peer: Peer,
}

/// How a stream is carried, and who is admitted to it.
struct Carrier {
    transport: Transport,
    form: Form,
    held: Held,
    options: Options,
}

/// All routes.
pub(crate) fn routes(site: Arc<Site>) -> BoxedFilter<(Reply,)> {
    let request = warp::method()
        .and(warp::path::full())
        .and(warp::query())
        .and(warp::header::headers_cloned())
        .and(warp::ext::get::<Peer>())
        .map(|method, path, query, headers, peer| Request {
            method,
            path,
            query,
            headers,
            peer,
        });
    request
        .and(warp::any().map(move || site.clone()))
        .then(guarded)
        .recover(|rejection| async move { Ok::<_, Infallible>(rejected(&rejection)) })
        .unify()
        .map(with_headers)
        .boxed()
}

async fn guarded(request: Request, site: Arc<Site>) -> Reply {
    let origin = request.headers.get(ORIGIN).cloned();
    let named = origin.as_ref().is_some_and(|origin| {
        origin
            .to_str()
            .is_ok_and(|origin| site.guard.origin_is_named(origin))
    });
    let answered = if request.headers.get_all(HOST).iter().count() > 1 {
        Err(Refusal::bad_request("the request names two hosts"))
    } else if site.guard.host_is_ours(text(&request.headers, HOST)) {
        answer(request, site).await
    } else {
        Err(
            Refusal::new(StatusCode::MISDIRECTED_REQUEST, "this server does not answer to that name")
                .with_hint("A server on loopback answers to localhost, 127.0.0.1 and [::1], and to hosts named with --allow-origin."),
        )
    };
    let mut reply = answered.unwrap_or_else(|refusal| refusal.to_reply());
    if let Some(origin) = origin.filter(|_| named) {
        reply
            .headers_mut()
            .insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        reply
            .headers_mut()
            .append(VARY, HeaderValue::from_static("origin"));
    }
    reply
}

async fn answer(request: Request, site: Arc<Site>) -> Result<Reply, Refusal> {
    if request.method != Method::GET && request.method != Method::HEAD {
        return Err(Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "there is nothing here but to read",
        )
        .with_header(ALLOW, HeaderValue::from_static("GET, HEAD")));
    }
    let path = request.path.as_str().to_owned();
    let path = path.strip_prefix('/').unwrap_or(&path);
    let segments: Vec<&str> = path.split('/').collect();
    match segments.as_slice() {
        ["healthz"] => Ok(api::alive()),
        ["readyz"] => api::ready(site).await,
        ["metrics"] => api::metrics(&site),
        ["api", "status"] => Ok(api::status(&site)),
        ["api", "views"] => api::list(site).await,
        ["api", "views", name] => {
            let address = request.peer.address.ip();
            api::view(
                site,
                decoded(name)?,
                request.query,
                request.headers,
                address,
            )
            .await
        }
        ["api", "stream"] => stream_several(request, site),
        ["api", "stream", name] => stream_one(decoded(name)?, request, site).await,
        [file] => {
            let asset = Asset::at(file).ok_or_else(not_found)?;
            Ok(asset.reply(&request.headers))
        }
        _ => Err(not_found()),
    }
}

/// `GET /api/stream/<view>`
async fn stream_one(name: String, request: Request, site: Arc<Site>) -> Result<Reply, Refusal> {
    let name = view_name(&name)?;
    let carrier = carrier(&request, &site, Form::Plain)?;
    let follow = site.hub.follow(&name, carrier.form, carrier.held);
    let mut feed = follow.map_err(|_| Refusal::too_many_views())?;
    match feed.ready().await {
        Readiness::Ready => carry(vec![feed], carrier, &request, &site),
        Readiness::Waiting(reason) => Err(Refusal::engine_away(reason.as_deref())),
        Readiness::Failed(failure) => Err(Refusal::failed(&name, &failure)),
    }
}

/// `GET /api/stream?views=counter,top10`: opened at once, because the stream can say of each view how it is.
fn stream_several(request: Request, site: Arc<Site>) -> Result<Reply, Refusal> {
    let views = several(&request.query)?;
    let carrier = carrier(&request, &site, Form::Named)?;
    let follow = |view: &String| site.hub.follow(view, carrier.form, carrier.held);
    let feeds: Result<Vec<Feed>, _> = views.iter().map(follow).collect();
    let feeds = feeds.map_err(|_| Refusal::too_many_views())?;
    carry(feeds, carrier, &request, &site)
}

/// How the client wants its stream, once it is clear that it may have one.
fn carrier(request: &Request, site: &Site, form: Form) -> Result<Carrier, Refusal> {
    let options = Options::read(&request.query)?;
    let begin = if options.snapshot {
        Held::Nothing
    } else {
        Held::FromNow
    };
    if request.method == Method::GET && websocket::is_asked_for(&request.headers) {
        if !site
            .guard
            .origin_may_connect(text(&request.headers, ORIGIN), text(&request.headers, HOST))
        {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "pages of that origin may not connect",
            )
            .with_hint("The operator can allow them with --allow-origin."));
        }
        return Ok(Carrier {
            transport: Transport::Websocket,
            form,
            held: begin,
            options,
        });
    }
    if sse::is_asked_for(&request.headers) {
        let resumed = sse::last_event_id(&request.headers).filter(|_| form == Form::Plain);
        return Ok(Carrier {
            transport: Transport::Sse,
            form: if form == Form::Plain {
                Form::Events
            } else {
                form
            },
            held: resumed.map_or(begin, Held::At),
            options,
        });
    }
    Err(Refusal::new(
        StatusCode::UPGRADE_REQUIRED,
        "this is a stream: ask for a websocket, or for text/event-stream",
    )
    .with_hint("GET /api/views/<view> answers once.")
    .with_header(UPGRADE, HeaderValue::from_static("websocket")))
}

/// Begins the stream.
fn carry(
    feeds: Vec<Feed>,
    carrier: Carrier,
    request: &Request,
    site: &Arc<Site>,
) -> Result<Reply, Refusal> {
    let permit = site
        .admission
        .admit(request.peer.address.ip(), carrier.transport);
    let permit = permit.ok_or_else(Refusal::too_many_clients)?;
    let status = (carrier.form == Form::Named).then(|| site.status_line.clone());
    let session = Session::new(
        feeds,
        status,
        carrier.options.interval,
        site.metrics.clone(),
        permit,
    );
    if carrier.transport == Transport::Websocket {
        let reply = websocket::accept(&request.headers)?;
        request.peer.hand_over(session);
        return Ok(reply);
    }
    let ids = if carrier.form == Form::Named {
        Ids::None
    } else {
        Ids::Timestamps
    };
    Ok(sse::reply(session, ids, site.stop.clone()))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    // A header that is no text is as good as a wrong one, not as good as none.
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

fn decoded(segment: &str) -> Result<String, Refusal> {
    let decoded = percent_decode_str(segment).decode_utf8();
    Ok(decoded
        .map_err(|_| Refusal::bad_request("the path is not UTF-8"))?
        .into_owned())
}

fn not_found() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "there is nothing here")
        .with_hint("The page is at /, the views are listed at /api/views.")
}

/// What warp itself finds wrong with a request.
fn rejected(rejection: &Rejection) -> Reply {
    tracing::debug!(?rejection, "rejected");
    Refusal::bad_request("the request cannot be read").to_reply()
}

fn with_headers(mut reply: Reply) -> Reply {
    for (name, value) in HEADERS {
        reply
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    reply
}
