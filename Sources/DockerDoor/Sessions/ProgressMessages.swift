import DriverKit
import Synchronization

/// Reports of a transfer as Docker's progress messages (`jsonmessage`), in order.
///
/// Reports come from any thread and must not wait for the client: they go into a stream that the answer's body reads.
final class ProgressMessages: Sendable {
    enum Direction: Sendable { case pull, push }

    let messages: AsyncStream<JSON>
    private let source: AsyncStream<JSON>.Continuation
    private let direction: Direction
    private let seen = Mutex<[String: TransferProgress.Part.State]>([:])

    init(_ direction: Direction) {
        self.direction = direction
        (messages, source) = AsyncStream.makeStream(of: JSON.self, bufferingPolicy: .bufferingNewest(2000))
    }

    func send(_ message: JSON) { source.yield(message) }
    func finish() { source.finish() }

    /// Called by the engine.
    func report(_ progress: TransferProgress) {
        guard let part = progress.part else {
            return send(["status": .string(progress.stage)])
        }
        let id = String(part.digest.drop { $0 != ":" }.dropFirst().prefix(12))
        let before = seen.withLock { seen in
            defer { seen[id] = part.state }
            return seen[id]
        }
        if before == nil, direction == .pull, part.state != .exists, part.state != .waiting {
            say(id, "Pulling fs layer")
        }
        if let text = text(part.state, before) { say(id, text, part) }
    }

    private func text(_ state: TransferProgress.Part.State, _ before: TransferProgress.Part.State?) -> String? {
        switch (direction, state) {
        case (.pull, .waiting): "Pulling fs layer"
        case (.pull, .transferring): "Downloading"
        case (.pull, .transferred): "Download complete"
        case (.pull, .exists): "Already exists"
        case (.pull, .unpacking): "Extracting"
        case (.pull, .unpacked): "Pull complete"
        case (.push, .waiting): "Preparing"
        case (.push, .transferring): "Pushing"
        case (.push, .transferred): "Pushed"
        case (.push, .exists): "Layer already exists"
        case (.push, .unpacking), (.push, .unpacked): nil
        }
    }

    private func say(_ id: String, _ status: String, _ part: TransferProgress.Part? = nil) {
        var message: JSON = ["status": .string(status), "progressDetail": [:], "id": .string(id)]
        if let part, part.state == .transferring || part.state == .unpacking, part.total > 0 {
            message = message.merging([
                "progressDetail": ["current": .integer(part.done), "total": .integer(part.total)],
                "progress": .string(Self.bar(part.done, part.total)),
            ])
        }
        send(message)
    }

    /// The bar of 50 characters that old clients print as it is.
    private static func bar(_ done: Int64, _ total: Int64) -> String {
        let filled = Int(min(50, max(0, done * 50 / max(1, total))))
        let arrow = filled < 50 ? ">" : ""
        return "[" + String(repeating: "=", count: filled) + arrow
            + String(repeating: " ", count: max(0, 50 - filled - arrow.count)) + "]  \(size(done))/\(size(total))"
    }

    /// As Docker writes sizes: powers of 1000, four digits at most.
    static func size(_ bytes: Int64) -> String {
        var value = Double(bytes)
        for unit in ["B", "kB", "MB", "GB", "TB"] {
            if value < 1000 || unit == "TB" {
                let digits = value < 10 ? 1000.0 : value < 100 ? 100.0 : 10.0
                let rounded = (value * digits).rounded() / digits
                return (rounded == rounded.rounded() ? "\(Int(rounded))" : "\(rounded)") + unit
            }
            value /= 1000
        }
        return "\(bytes)B"
    }
}
