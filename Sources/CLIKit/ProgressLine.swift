public import WireTypes

/// Progress of an operation, for people.
public struct ProgressLine: Sendable, Hashable {
    public var stage: String
    /// 0 to 1; nil where the total is not known.
    public var fraction: Double?
    public var detail: String

    /// What `operation` says of itself: Isle's `progress`, or LXD's `…_progress` text. nil if it says nothing.
    public init?(_ operation: API.Operation) {
        guard let metadata = operation.metadata else { return nil }
        if let progress = metadata["progress"]?.objectValue {
            stage = progress["stage"]?.stringValue ?? operation.description
            var parts: [String] = []
            let done = progress["done"]?.intValue
            let total = progress["total"]?.intValue
            if let percent = progress["percent"]?.stringValue.flatMap(Double.init) { fraction = percent / 100 }
            if fraction == nil, let done, let total, total > 0 { fraction = Double(done) / Double(total) }
            if let done, let total, total > 1 << 16 {
                parts.append("\(Quantity.bytes(done))/\(Quantity.bytes(total))")
            } else if let done, done > 1 << 16 {
                parts.append(Quantity.bytes(done))
            }
            if let speed = progress["speed"]?.stringValue.flatMap(Int64.init), speed > 0 {
                parts.append("\(Quantity.bytes(speed))/s")
            }
            if let text = progress["text"]?.stringValue, !text.isEmpty { parts.append(text) }
            detail = parts.joined(separator: " ")
            fraction = fraction.map { min(1, max(0, $0)) }
            return
        }
        guard let entry = metadata.first(where: { $0.key.hasSuffix("_progress") }), let text = entry.value.stringValue
        else { return nil }
        stage = String(entry.key.dropLast("_progress".count))
        detail = text
        fraction = nil
    }

    /// One line of at most `width` columns with a bar.
    public func bar(width: Int) -> String {
        var text = PlainText.escaped(stage)
        if let fraction {
            let cells = max(10, min(30, width / 4))
            let filled = Int((Double(cells) * fraction).rounded())
            let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: cells - filled)
            text += " \(bar) \(Int(fraction * 100))%"
        }
        if !detail.isEmpty { text += "  " + PlainText.escaped(detail) }
        return PlainText.cut(text, to: max(1, width - 1))
    }

    /// One line for a log, without a bar.
    public var plain: String {
        var text = PlainText.escaped(stage)
        if let fraction { text += " \(Int(fraction * 100))%" }
        return detail.isEmpty ? text : text + " " + PlainText.escaped(detail)
    }
}

extension ProgressLine {
    /// Progress of `done` of `total` bytes.
    public init(stage: String, done: Int64, total: Int64) {
        self.stage = stage
        fraction = total > 0 ? Double(done) / Double(total) : nil
        detail = "\(Quantity.bytes(done))/\(Quantity.bytes(total))"
    }
}

/// Which progress becomes a line of a log: nothing of a stage that is over within a second, then at most one line
/// every two seconds, and only when a tenth more is done.
public struct ProgressPace: Sendable {
    private var stage: String?
    private var began = 0.0
    private var shown = -Double.infinity
    private var tenth = -2

    public init() {}

    /// Whether `line` is shown. `now` is in seconds of any clock.
    public mutating func shows(_ line: ProgressLine, now: Double) -> Bool {
        if line.stage != stage { (stage, began, tenth) = (line.stage, now, -2) }
        let next = line.fraction.map { Int($0 * 10) } ?? -1
        guard now - began >= 1, now - shown >= 2, next > tenth else { return false }
        (shown, tenth) = (now, next)
        return true
    }
}
