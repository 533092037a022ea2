public import WireTypes

/// Images as people are shown them.
public enum ImageTable {
    /// The name it is best known by; without one the beginning of its fingerprint.
    public static func name(_ image: API.Image) -> String {
        let names = image.references ?? image.aliases.map(\.name)
        return names.first.map(ImageNames.short) ?? String(image.fingerprint.prefix(12))
    }

    /// One row for each reference. `now` is in seconds since 1970.
    public static func list(_ images: [API.Image], now: Double) -> Table {
        let knowsDisk = images.contains { $0.diskUsage != nil }
        var table = Table(
            [
                .init("IMAGE", minimum: 16), .init("FINGERPRINT"), .init("RUNS AS", minimum: 12), .init("ARCH"),
                .init("SIZE", right: true), knowsDisk ? .init("ON DISK", right: true) : nil,
                .init("INSTANCES", right: true), .init("CREATED"),
            ].compactMap { $0 })
        var rows: [(String, API.Image)] = []
        for image in images {
            let names = image.references ?? image.aliases.map(\.name)
            rows += names.isEmpty ? [("-", image)] : names.map { (ImageNames.short($0), image) }
        }
        for (name, image) in rows.sorted(by: { ($0.0, $0.1.fingerprint) < ($1.0, $1.1.fingerprint) }) {
            let cells: [Table.Cell?] = [
                .init(name), .init(String(image.fingerprint.prefix(12))),
                .init((image.kinds ?? [image.type]).joined(separator: ", ")), .init(image.architecture),
                .init(Quantity.bytes(image.size)),
                knowsDisk ? .init(image.diskUsage.map(Quantity.bytes) ?? "-") : nil,
                .init(String(image.usedBy?.count ?? 0)), .init(ago(image.createdAt, now)),
            ]
            table.rows.append(cells.compactMap { $0 })
        }
        return table
    }

    /// The steps an image was made in.
    public static func history(_ steps: [API.ImageHistoryEntry], now: Double) -> Table {
        var table = Table([.init("CREATED"), .init("SIZE", right: true), .init("BY", minimum: 20)])
        for step in steps {
            table.add(
                .init(ago(step.createdAt, now)), .init(step.emptyLayer ? "-" : Quantity.bytes(step.size)),
                .init(step.comment.isEmpty ? step.createdBy : "\(step.createdBy)  # \(step.comment)"))
        }
        return table
    }

    private static func ago(_ timestamp: String, _ now: Double) -> String {
        guard let seconds = Timestamp.seconds(timestamp), seconds > 0 else { return "-" }
        return Quantity.span(seconds: now - seconds) + " ago"
    }
}
