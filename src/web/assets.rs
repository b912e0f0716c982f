//! The page, built into the program: each file with an ETag, so that a reload costs a few bytes, and compressed for those who
//! come over a network.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use warp::Reply;
use warp::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
    IF_NONE_MATCH, VARY,
};
use warp::http::{Response, StatusCode};

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// The files, by the path under which they are served; the first is the page.
static ASSETS: [Asset; 7] = [
    Asset::new("", HTML, include_bytes!("../../assets/index.html")),
    Asset::new("app.js", SCRIPT, include_bytes!("../../assets/app.js")),
    Asset::new(
        "condition.js",
        SCRIPT,
        include_bytes!("../../assets/condition.js"),
    ),
    Asset::new("parts.js", SCRIPT, include_bytes!("../../assets/parts.js")),
    Asset::new(
        "stream.js",
        SCRIPT,
        include_bytes!("../../assets/stream.js"),
    ),
    Asset::new("wiki.js", SCRIPT, include_bytes!("../../assets/wiki.js")),
    Asset::new("style.css", STYLE, include_bytes!("../../assets/style.css")),
];

/// A file of the page.
#[derive(Debug)]
pub(crate) struct Asset {
    path: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
    /// The same compressed, made when somebody first asks.
    gzipped: OnceLock<Bytes>,
}

impl Asset {
    const fn new(path: &'static str, content_type: &'static str, bytes: &'static [u8]) -> Self {
        Asset {
            path,
            content_type,
            bytes,
            gzipped: OnceLock::new(),
        }
    }

    /// The file that is served under this path, given without the slash before it.
    pub(crate) fn at(path: &str) -> Option<&'static Asset> {
        ASSETS.iter().find(|asset| asset.path == path)
    }

    /// The file in a form that the client takes, or that it has it already.
    pub(crate) fn reply(&self, request: &HeaderMap) -> warp::reply::Response {
        let text = |name| request.get(name).and_then(|value| value.to_str().ok());
        let gzips = text(ACCEPT_ENCODING).is_some_and(takes_gzip);
        // Two forms of one file have tags of their own.
        let tag = format!("\"{}{}\"", self.hash(), if gzips { "-gz" } else { "" });
        let known = text(IF_NONE_MATCH).is_some_and(|tags| names(tags, &tag));
        let body = match (known, gzips) {
            (true, _) => Bytes::new(),
            (false, true) => self.gzipped(),
            (false, false) => Bytes::from_static(self.bytes),
        };
        let mut reply = Response::new(body).into_response();
        if known {
            *reply.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = reply.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        // Kept, but asked about each time: after an upgrade of the program no browser runs yesterday's script.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        headers.insert(ETAG, etag(&tag));
        if gzips && !known {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        reply
    }

    fn gzipped(&self) -> Bytes {
        let compress = || {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            let written = encoder.write_all(self.bytes);
            written
                .and_then(|()| encoder.finish())
                .expect("memory takes what is written")
        };
        self.gzipped.get_or_init(|| compress().into()).clone()
    }

    fn hash(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.bytes.hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

/// Whether an Accept-Encoding names gzip without refusing it.
fn takes_gzip(accept_encoding: &str) -> bool {
    accept_encoding.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let refused = parts.any(|part| {
            let weight = part.strip_prefix("q=").and_then(|q| q.parse().ok());
            weight == Some(0.0_f32)
        });
        named && !refused
    })
}

/// Whether an If-None-Match names this tag; a proxy that compressed the answer may have made it weak.
pub(crate) fn names(if_none_match: &str, tag: &str) -> bool {
    let mut named = if_none_match.split(',').map(str::trim);
    named.any(|named| named == "*" || named.trim_start_matches("W/") == tag)
}

/// A tag as a header.
pub(crate) fn etag(tag: &str) -> HeaderValue {
    HeaderValue::from_str(tag).expect("tags are made of digits, letters and quotes")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn asking(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn what_a_client_has_is_not_sent_again() {
        let index = Asset::at("").unwrap();
        for encoding in ["identity", "gzip"] {
            let ask = |has: &str| {
                index.reply(&asking(&[
                    ("accept-encoding", encoding),
                    ("if-none-match", has),
                ]))
            };
            let first = ask("\"other\"");
            assert_eq!(first.status(), StatusCode::OK);
            let tag = first.headers()[ETAG].to_str().unwrap();
            for has in [
                tag.to_owned(),
                format!("W/{tag}"),
                format!("\"other\", {tag}"),
                "*".to_owned(),
            ] {
                assert_eq!(ask(&has).status(), StatusCode::NOT_MODIFIED, "{has}");
            }
        }
    }

    #[test]
    fn who_takes_gzip_gets_it() {
        let table = [
            (None, false),
            (Some("gzip, deflate, br"), true),
            (Some("br;q=1.0, GZIP;q=0.8"), true),
            (Some("br, gzip;q=0"), false),
            (Some("gzip; q=0.000"), false),
            (Some("identity"), false),
            (Some("x-gzip-like"), false),
        ];
        for (given, gzips) in table {
            let request = given.map_or_else(HeaderMap::new, |given| {
                asking(&[("accept-encoding", given)])
            });
            let reply = Asset::at("").unwrap().reply(&request);
            assert_eq!(
                reply.headers().contains_key(CONTENT_ENCODING),
                gzips,
                "{given:?}"
            );
        }
        for asset in &ASSETS {
            let mut whole = Vec::new();
            let gzipped = asset.gzipped();
            let mut decoder = flate2::read::GzDecoder::new(&*gzipped);
            std::io::Read::read_to_end(&mut decoder, &mut whole).unwrap();
            assert!(whole == asset.bytes, "{}", asset.path);
        }
    }

    #[test]
    fn files_differ_by_tag() {
        let tags: HashSet<String> = ASSETS.iter().map(Asset::hash).collect();
        assert_eq!(tags.len(), ASSETS.len());
    }

    #[test]
    fn the_page_asks_for_nothing_that_is_not_served() {
        let page = std::str::from_utf8(Asset::at("").unwrap().bytes).unwrap();
        let scripts = ASSETS
            .iter()
            .map(|asset| std::str::from_utf8(asset.bytes).unwrap());
        let quoted = scripts
            .flat_map(|text| text.split(['"', '\'']))
            .chain(page.split('"'));
        let files = quoted.filter(|name| {
            let name = name.trim_start_matches("./");
            name.ends_with(".js") || name.ends_with(".css")
        });
        let mut count = 0;
        for file in files {
            assert!(Asset::at(file.trim_start_matches("./")).is_some(), "{file}");
            count += 1;
        }
        assert!(count > 0);
    }
}
