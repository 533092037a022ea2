import Model

/// The undo steps of a change that has several steps; each is registered right after the step that needs it.
public struct Reverter: Sendable {
    public typealias Undo = @Sendable () async throws -> Void
    private(set) var steps: [(label: String, undo: Undo)] = []

    /// Adds an undo step; `label` says what it undoes, for the error if it fails too.
    public mutating func onFailure(_ label: String, _ undo: @escaping Undo) { steps.append((label, undo)) }
}

/// The undo steps that failed too, kept as the cause of the first failure.
public struct RevertFailure: Error, CustomStringConvertible {
    public let cause: (any Error)?
    public let cleanup: [(label: String, error: any Error)]

    public var description: String {
        (cause.map { "\($0); " } ?? "") + "undoing it failed too: "
            + cleanup.map { "\($0.label): \($0.error)" }.joined(separator: "; ")
    }
}

/// Runs `body`; when it throws, runs the undo steps, newest first, whether or not the caller was cancelled.
///
/// Throws what `body` threw; when undo steps fail as well, an `EngineError` of the same code whose cause names them.
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
        let first = error as? EngineError ?? EngineError(.internal, "\(error)")
        throw EngineError(
            first.code, first.message, hint: first.hint, resource: first.resource,
            cause: RevertFailure(cause: first.cause, cleanup: failures))
    }
}
