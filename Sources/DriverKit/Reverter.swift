/// The undo steps of a change that has several steps; each is registered right after the step that needs it.
public struct Reverter: Sendable {
    public typealias Undo = @Sendable () async throws -> Void
    private(set) var steps: [(label: String, undo: Undo)] = []

    /// Adds an undo step; `label` says what it undoes, for the error if it fails too.
    public mutating func onFailure(_ label: String, _ undo: @escaping Undo) { steps.append((label, undo)) }
}

/// A failure whose undoing failed as well; both are kept.
public struct RevertFailure: Error, CustomStringConvertible {
    public let primary: any Error
    public let cleanup: [(label: String, error: any Error)]

    public var description: String {
        "\(primary); then, undoing it: " + cleanup.map { "\($0.label): \($0.error)" }.joined(separator: "; ")
    }
}

/// Runs `body`; when it throws, runs the undo steps, newest first, whether or not the caller was cancelled.
public func withReverter<Result: Sendable>(
    _ body: (inout Reverter) async throws -> Result
) async throws -> Result {
    var reverter = Reverter()
    do {
        return try await body(&reverter)
    } catch {
        let steps = reverter.steps
        // A task of its own, so that the caller's cancellation does not reach the undo steps.
        let failures = await Task {
            var failures: [(label: String, error: any Error)] = []
            for step in steps.reversed() {
                do { try await step.undo() } catch { failures.append((step.label, error)) }
            }
            return failures
        }.value
        if failures.isEmpty { throw error }
        throw RevertFailure(primary: error, cleanup: failures)
    }
}
