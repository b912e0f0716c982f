//! What the web interface bounds, with the reason for each number and what happens when it fills.

use std::time::Duration;

/// Limits that an operator may want to change.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Clients that are being pushed to, all transports together. 20,000 cost a few hundred megabytes; the next one is told
    /// 429 and when to come back.
    pub clients_max: usize,
    /// The same from one address (an IPv6 network of 64 bits counts as one). An office or a school behind one address fits,
    /// one machine cannot take everything. Behind a proxy everyone comes from the proxy's address: raise it there.
    pub clients_per_address_max: usize,
    /// How long is waited for whom.
    pub patience: Patience,
}

/// How long is waited for clients that do nothing.
#[derive(Debug, Clone)]
pub struct Patience {
    /// A client that takes no byte for this long while some are waiting is closed: its computer sleeps, or its network is gone.
    pub stall_max: Duration,
    /// A websocket is pinged this often: proxies close idle connections after 60 s, commonly.
    pub ping_every: Duration,
    /// A client that has ever answered is expected to answer within this time (three pings); otherwise it is closed. One that
    /// never did, like curl, is judged by whether it takes the bytes.
    pub silence_max: Duration,
    /// A request's headers must arrive within this time, and an idle connection sends its next request within it; then the
    /// connection is closed, so that connections that say nothing do not take the place of others.
    pub headers_max: Duration,
    /// A subscription goes on this long after its last client, so that a reloaded page finds it and the engine does not
    /// compute the snapshot again.
    pub linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            clients_max: 20_000,
            clients_per_address_max: 256,
            patience: Patience::default(),
        }
    }
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            stall_max: Duration::from_secs(30),
            ping_every: Duration::from_secs(25),
            silence_max: Duration::from_secs(80),
            headers_max: Duration::from_secs(20),
            linger: Duration::from_secs(60),
        }
    }
}

/// Connections beside those of clients that are being pushed to: page loads and plain requests last milliseconds, so this
/// many are plenty. Beyond, new ones wait unaccepted in the kernel's queue.
pub(super) const CONNECTIONS_RESERVE: usize = 1_000;

/// A request's line and headers together: browsers with large cookies stay below 8 kB. More is answered 431.
pub(super) const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// Connections of one address beside those of its clients that are being pushed to. One more is closed at once, so that one
/// machine cannot keep all others out with connections that say nothing.
pub(super) const CONNECTIONS_PER_ADDRESS_RESERVE: usize = 64;

/// Browsers send about 20 headers. More is answered 431.
pub(super) const HEADERS_MAX: usize = 64;

/// Clients of a websocket have nothing to say but pongs and closes. A longer message closes the socket with 1009.
pub(super) const MESSAGE_BYTES_MAX: usize = 4 * 1024;

/// What is read from a websocket at once. It stays allocated for each client, and clients send a few bytes a minute.
pub(super) const READ_BUFFER_BYTES: usize = 256;

/// Small messages of several views leave in one write up to this size.
pub(super) const WRITE_BUFFER_BYTES: usize = 2 * 1024;

/// Longer messages leave in fragments of this size, cut from the shared text, so that a snapshot of a million rows does not
/// stand in memory once for each client.
pub(super) const FRAGMENT_BYTES: usize = 8 * 1024;

/// Messages that leave before the socket is read again. A stream of ten views sends ten at a time.
pub(super) const MESSAGES_PER_ROUND: usize = 64;

/// What the kernel buffers for one client. The default grows to megabytes, and a slow client would then be served minutes of
/// stale frames from there instead of one message with the net difference. Linux doubles the number.
pub(super) const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// A server-sent comment keeps an idle stream open, for the same proxies.
pub(super) const SSE_COMMENT_EVERY: Duration = Duration::from_secs(25);

/// How long a closed websocket may take to say goodbye.
pub(super) const GOODBYE_MAX: Duration = Duration::from_secs(1);

/// How long the connections together may take at shutdown before they are cut; all of `serve` has 5 s.
pub(super) const SHUTDOWN_MAX: Duration = Duration::from_secs(3);

/// Views that are followed at once, each on an engine connection of its own. Beyond, a client is told 503, unless it asks for
/// a built-in view, of which there are a dozen.
pub(super) const SUBSCRIPTIONS_MAX: usize = 64;

/// How long a request waits for the first snapshot of its view before it is told 503.
pub(super) const SNAPSHOT_WAIT: Duration = Duration::from_secs(5);

/// The list of views is asked for this often at most, however many want it: each time costs a connection to the engine.
pub(super) const LIST_KEPT: Duration = Duration::from_secs(2);

/// How long the engine may take to list its views before the request is told 503.
pub(super) const LIST_WAIT: Duration = Duration::from_secs(5);

/// Frames that are kept for clients that are behind and for those that come back: at ten frames a second a client may be away
/// 100 s, three times as long as a stalled one may stay. One that is further behind gets a snapshot.
pub(super) const FRAMES_MAX: usize = 1_024;

/// Rows in those frames together, some 10 MB at most for a view; then as above.
pub(super) const FRAME_ROWS_MAX: usize = 65_536;

/// Up to so many rows a view's snapshot is written for whoever comes, in well under a millisecond. That of a larger view is
/// kept while the frames after it are, because writing the 200,000 rows of `user_edits` takes a tenth of a second.
pub(super) const FRESH_ROWS_MAX: u64 = 1_000;

/// Views on one multiplexed stream. The page asks for ten. More is answered 400.
pub(super) const VIEWS_PER_STREAM_MAX: usize = 32;

/// A name longer than this is not a view's (the engines cut at 255 bytes or less). It is answered 404.
pub(super) const VIEW_NAME_BYTES_MAX: usize = 255;

/// The longest that a request may wait for a change. A longer wish is cut to this: proxies would cut the connection.
pub(super) const LONG_POLL_MAX: Duration = Duration::from_secs(60);

/// The page's data is fresh while the last change is younger than this: the live stream brings 30 changes a second, and its
/// longest ordinary gap, a reconnect, takes seconds.
pub(super) const FRESH_MAX: Duration = Duration::from_secs(60);

/// What a refused client is told to wait before it comes again.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(10);

/// A change of the ingest's lag alone is told this often; a change of state at once.
pub(super) const STATUS_EVERY: Duration = Duration::from_secs(5);
