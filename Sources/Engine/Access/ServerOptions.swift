import Model

/// The daemon's own configuration keys: their meaning and form. The reference documentation is printed from this table.
public struct ServerOptions: Sendable {
    /// One key, or with `isPrefix` a family of keys.
    public struct Option: Sendable {
        public let key: String
        public let isPrefix: Bool
        public let summary: String
        public let form: String
        let accepts: @Sendable (String) -> Bool
    }

    public static let options: [Option] = [
        option(
            "core.https_address", "address and port for remote clients; empty: none", "address",
            Self.isAddress),
        option(
            "core.https_allowed_credentials", "whether browsers may send certificates across origins", "true or false",
            Self.isBool),
        option("core.https_allowed_headers", "value of Access-Control-Allow-Headers", "text", Self.isHeader),
        option("core.https_allowed_methods", "value of Access-Control-Allow-Methods", "text", Self.isHeader),
        option(
            "core.https_allowed_origin", "the origin whose pages may use the API, or `*`", "origin", Self.isHeader),
        option(
            "core.metrics_address", "address and port where only `/1.0/metrics` is served", "address", Self.isAddress),
        option(
            "core.metrics_authentication", "whether metrics need a trusted certificate (default true)",
            "true or false", Self.isBool),
        option("core.proxy_http", "proxy for HTTP, from the daemon's next start on", "URL", Self.isHeader),
        option("core.proxy_https", "proxy for HTTPS, from the daemon's next start on", "URL", Self.isHeader),
        option("core.proxy_ignore_hosts", "hosts reached without the proxy", "host,host", Self.isHeader),
        option(
            "core.remote_token_expiry", "how long a join token is good; empty: until it is used", "as `1d 12H`"
        ) { Expiry.seconds($0) != nil },
        option(
            "core.trust_password", "password by which clients add themselves; prefer tokens (`lxc config trust add`)",
            "text"
        ) { $0.utf8.count <= 1024 },
        option("backups.compression_algorithm", "compression of backups", "name", Self.isCompression),
        option("images.auto_update_cached", "keep fetched images up to date", "true or false", Self.isBool),
        option("images.auto_update_interval", "hours between looks for newer images; 0: never", "hours") {
            Int($0).map { (0...8760).contains($0) } ?? false
        },
        option("images.compression_algorithm", "compression of published images", "name", Self.isCompression),
        option("images.default_architecture", "architecture of images if none is asked for", "name") {
            ["x86_64", "aarch64", "i686", "armv7l", "riscv64", "ppc64le", "s390x"].contains($0)
        },
        option("images.remote_cache_expiry", "days after which an unused fetched image is removed", "days") {
            Int($0).map { (0...36_500).contains($0) } ?? false
        },
        Option(key: "user.", isPrefix: true, summary: "free for users", form: "text") { $0.utf8.count <= 1 << 16 },
    ]

    /// Checks keys and values; a value that is empty takes the key away and is always right.
    public static func check(_ config: [String: String]) throws {
        for (key, value) in config.sorted(by: { $0.key < $1.key }) {
            guard
                let option = options.first(where: {
                    $0.isPrefix ? key.hasPrefix($0.key) && key.utf8.count > $0.key.utf8.count : $0.key == key
                })
            else {
                let group = key.prefix { $0 != "." } + "."
                let near = options.filter { $0.key.hasPrefix(group) }.map(\.key)
                throw EngineError(
                    .invalidArgument, "unknown server key \(Names.quoted(key))",
                    hint: near.isEmpty
                        ? "own keys go below 'user.'" : "keys of this group: \(near.joined(separator: ", "))")
            }
            guard value.isEmpty || (!value.utf8.contains(0) && option.accepts(value)) else {
                throw EngineError(
                    .invalidArgument, "\(Names.quoted(value)) is not a value of \(key)",
                    hint: "\(option.summary): \(option.form)")
            }
        }
    }

    private static func option(
        _ key: String, _ summary: String, _ form: String, _ accepts: @escaping @Sendable (String) -> Bool
    ) -> Option { Option(key: key, isPrefix: false, summary: summary, form: form, accepts: accepts) }

    private static let isBool: @Sendable (String) -> Bool = { Units.bool($0) != nil }
    /// Goes into headers and URLs as it is.
    private static let isHeader: @Sendable (String) -> Bool = { text in
        text.utf8.count <= 4096 && text.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7f }
    }
    /// The door that listens there looks at it closely.
    private static let isAddress: @Sendable (String) -> Bool = { text in
        text.utf8.count <= 64 && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }
    }
    private static let isCompression: @Sendable (String) -> Bool = {
        ["none", "gzip", "zstd", "xz", "bzip2"].contains($0)
    }
}

/// LXD's notation of durations: numbers with `M` minutes, `H` hours, `d` days, `w` weeks, `m` months, `y` years.
enum Expiry {
    private static let units: [Character: Double] = [
        "S": 1, "M": 60, "H": 3600, "d": 86_400, "w": 604_800, "m": 2_592_000, "y": 31_536_000,
    ]

    /// nil for anything else.
    static func seconds(_ text: String) -> Double? {
        var total = 0.0
        for word in text.split(separator: " ") {
            guard let unit = word.last.flatMap({ units[$0] }), let count = Int(word.dropLast()), count > 0,
                count < 1_000_000
            else { return nil }
            total += Double(count) * unit
        }
        return total > 0 ? total : nil
    }
}
