/// What cloud-init in a guest reads at its first start: the files of its NoCloud data source
/// (https://docs.cloud-init.io/en/latest/reference/datasources/nocloud.html).
public struct CloudInitSeed: Sendable, Hashable {
    public struct File: Sendable, Hashable {
        public var name: String
        public var content: [UInt8]
    }

    public var files: [File]

    /// Nil if the configuration has no cloud-init data. Keys as LXD's: `cloud-init.user-data`, `cloud-init.vendor-data`,
    /// `cloud-init.network-config`, and the older `user.*` forms.
    ///
    /// - Parameter instance: what cloud-init knows the instance by; with another one it does its work again.
    public init?(_ config: [String: String], instance: String, hostname: String) {
        let values = Self.names.map { config["cloud-init.\($0)"] ?? config["user.\($0)"] }
        guard values.contains(where: { $0 != nil }) else { return nil }
        let meta = "instance-id: \(instance)\nlocal-hostname: \(hostname)\n"
        files = [File(name: "meta-data", content: Array(meta.utf8))]
        for (name, value) in zip(Self.names, values) {
            guard let text = value ?? (name == "user-data" ? "#cloud-config\n{}\n" : nil) else { continue }
            files.append(File(name: name, content: Array(text.utf8)))
        }
    }

    private static let names = ["user-data", "vendor-data", "network-config"]
}
