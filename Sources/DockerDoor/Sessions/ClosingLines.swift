import Synchronization

/// Holds the last lines of a build back: the image's id comes before them, and clients read the last line as the outcome.
final class ClosingLines: Sendable {
    private let held = Mutex<[String]>([])
    private let sink: @Sendable (String) -> Void

    init(_ sink: @escaping @Sendable (String) -> Void) { self.sink = sink }

    func send(_ line: String) {
        // A step may print the same words: then others follow.
        let ready = held.withLock { held -> [String] in
            if line.hasPrefix("Successfully ") {
                held.append(line)
                return []
            }
            let lines = held + [line]
            held.removeAll()
            return lines
        }
        for line in ready { sink(line) }
    }

    func finish() {
        let rest = held.withLock { held -> [String] in
            let lines = held
            held.removeAll()
            return lines
        }
        for line in rest { sink(line) }
    }
}
