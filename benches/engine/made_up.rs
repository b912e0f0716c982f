//! Changes in the shape of Wikimedia's, as many as one likes.

use bytes::Bytes;

/// A source of changes. Identities never repeat, unless the seed does.
pub(crate) struct MadeUp {
    random: fastrand::Rng,
    users: usize,
    made: u64,
    /// How many will be made: they are spread over the last day.
    total: u64,
}

const WIKIS: [&str; 12] = [
    "commons", "wikidata", "en", "de", "fr", "es", "ja", "ru", "zh", "it", "pt", "ar",
];

impl MadeUp {
    pub(crate) fn new(seed: u64, users: usize, total: usize) -> Self {
        MadeUp {
            random: fastrand::Rng::with_seed(seed),
            users,
            made: 0,
            total: total as u64,
        }
    }

    pub(crate) fn documents(&mut self, count: usize) -> Vec<Bytes> {
        (0..count).map(|_| self.document()).collect()
    }

    fn document(&mut self) -> Bytes {
        self.made += 1;
        let ago_s = 86_400 * self.total.saturating_sub(self.made) / self.total;
        let ago = jiff::SignedDuration::from_secs(ago_s as i64);
        let now = jiff::Timestamp::now() - ago;
        let made = self.made;
        // The first so many changes are of a new user each, the others of one of them, the busiest the most often.
        let user = if made <= self.users as u64 {
            made as usize
        } else {
            (self.random.f64().powi(3) * self.users as f64) as usize
        };
        let wiki = WIKIS[(self.random.f64().powi(2) * WIKIS.len() as f64) as usize];
        let title = self.words(3);
        let comment = self.words(9);
        let kind = ["edit", "edit", "edit", "categorize", "log", "new"][self.random.usize(..6)];
        let bot = self.random.u8(..3) == 0;
        let (old, id) = (self.random.u32(..90_000), self.random.u128(..));
        let uuid = format!(
            "{:08x}-{:04x}-4{:03x}-9{:03x}-{:012x}",
            id as u32,
            (id >> 32) as u16,
            (id >> 48) as u16 & 0xfff,
            (id >> 60) as u16 & 0xfff,
            (id >> 72) as u64 & 0xffff_ffff_ffff
        );
        let dt = now.strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
        let slug = title.replace(' ', "_");
        format!(
            r#"{{"$schema":"/mediawiki/recentchange/1.0.0","meta":{{"uri":"https://{wiki}.wikipedia.org/wiki/{slug}","request_id":"{uuid}","id":"{uuid}","domain":"{wiki}.wikipedia.org","stream":"mediawiki.recentchange","dt":"{dt}","topic":"eqiad.mediawiki.recentchange","partition":0,"offset":{}}},"id":{},"type":"{kind}","namespace":0,"title":"{title}","title_url":"https://{wiki}.wikipedia.org/wiki/{slug}","comment":"/* {title} */ {comment}","timestamp":{},"user":"User {user}","bot":{bot},"notify_url":"https://{wiki}.wikipedia.org/w/index.php?diff={}&oldid={}","minor":false,"length":{{"old":{old},"new":{}}},"revision":{{"old":{},"new":{}}},"server_url":"https://{wiki}.wikipedia.org","server_name":"{wiki}.wikipedia.org","server_script_path":"/w","wiki":"{wiki}wiki","parsedcomment":"<span dir=\"auto\"><span class=\"autocomment\"><a href=\"/wiki/{slug}\" title=\"{title}\">→‎{title}</a></span></span> {comment}"}}"#,
            6_400_000_000 + made,
            3_500_000_000 + made,
            now.as_second(),
            900_000_000 + made,
            890_000_000 + made,
            old + 12,
            890_000_000 + made,
            900_000_000 + made,
        )
        .into()
    }

    fn words(&mut self, count: usize) -> String {
        let mut text = String::new();
        for at in 0..count {
            if at > 0 {
                text.push(' ');
            }
            // Some two thousand words, the short ones more often.
            let word = (self.random.f64().powi(2) * 2000.0) as u32;
            let letters = 3 + word / 300;
            let mut seed = word.wrapping_mul(2_654_435_761);
            for _ in 0..letters {
                text.push(char::from(b'a' + (seed >> 27) as u8 % 26));
                seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            }
        }
        text
    }
}
