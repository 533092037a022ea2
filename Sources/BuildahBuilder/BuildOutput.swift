import Synchronization

/// Turns what buildah prints into what Docker's classic builder prints; the output of steps stays as it is.
final class BuildOutput: Sendable {
    private struct State {
        var step = 0
        /// A step whose command runs now.
        var isRunning = false
    }

    private let total: Int
    /// Names the sandbox in which commands run.
    private let build: String
    /// What the Dockerfile calls the images that the builder names by their ids.
    private let names: [String: String]
    private let sink: @Sendable (String) -> Void
    private let state = Mutex(State())

    init(
        total: Int, build: String, names: [String: String] = [:], sink: @escaping @Sendable (String) -> Void
    ) {
        self.total = total
        self.build = build
        self.names = names
        self.sink = sink
    }

    func line(_ line: String) {
        for text in translated(line) { sink(text) }
    }

    private func translated(_ line: String) -> [String] {
        if let step = Self.step(line) {
            return state.withLock { state in
                state.step += 1
                state.isRunning = step.hasPrefix("RUN ")
                let head = "Step \(state.step)/\(max(total, state.step)) : \(named(step))"
                return state.isRunning ? [head, " ---> Running in \(build)"] : [head]
            }
        }
        if line.hasPrefix("--> Using cache ") {
            return [" ---> Using cache", " ---> \(line.dropFirst("--> Using cache ".utf8.count).prefix(12))"]
        }
        if line.hasPrefix("--> ") { return [" ---> \(line.dropFirst(4).prefix(12))"] }
        // What follows the last step is told in other words when the image is in the store.
        if Self.isClosing(line) { return [] }
        if line.hasPrefix("time=\"") { return [] }
        return [line]
    }

    /// What Docker's classic builder says of a command that failed, from buildah's
    /// `…building at STEP "RUN exit 1": exit status 1`; nil if that is not what happened.
    static func failure(_ text: String) -> String? {
        guard let start = text.firstRange(of: "building at STEP \"RUN "),
            let end = text[start.upperBound...].firstRange(of: "\": exit status "),
            let code = Int(text[end.upperBound...])
        else { return nil }
        var command = String(text[start.upperBound..<end.lowerBound]).replacing("\\\"", with: "\"")
        if command.hasPrefix("["), command.hasSuffix("]") {
            command = command.dropFirst().dropLast().split(separator: ",").map {
                $0.replacing("\"", with: "").drop { $0 == " " }
            }.joined(separator: " ")
        } else {
            command = "/bin/sh -c " + command
        }
        return "The command '\(command)' returned a non-zero code: \(code)"
    }

    /// A FROM with the name that the Dockerfile has.
    private func named(_ step: String) -> String {
        guard step.hasPrefix("FROM ") else { return step }
        return step.split(separator: " ", omittingEmptySubsequences: false).map { names[String($0)] ?? String($0) }
            .joined(separator: " ")
    }

    private static func isClosing(_ line: String) -> Bool {
        if line == "COMMIT" || line.hasPrefix("COMMIT ") || line.hasSuffix("] COMMIT") { return true }
        return line.utf8.count == 64 && line.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
    }

    /// The instruction in `STEP 1/3: FROM x` and `[1/2] STEP 1/3: FROM x`.
    private static func step(_ line: String) -> String? {
        var rest = line[...]
        if rest.hasPrefix("["), let end = rest.firstIndex(of: "]") {
            rest = rest[rest.index(after: end)...].drop { $0 == " " }
        }
        guard rest.hasPrefix("STEP "), let colon = rest.firstIndex(of: ":") else { return nil }
        let numbers = rest[..<colon].dropFirst(5)
        guard !numbers.isEmpty, numbers.allSatisfy({ $0.isNumber || $0 == "/" }) else { return nil }
        return String(rest[rest.index(after: colon)...].drop { $0 == " " })
    }
}
