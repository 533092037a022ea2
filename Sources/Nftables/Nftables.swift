import CNftables
import Model
import Synchronization

/// nftables through libnftables(3), in this process: no `nft` is started. One context, used by one caller at a
/// time. Commands are nft(8)'s own language; all commands of one call are one transaction: either everything
/// happens or nothing. Calls block while the kernel works: not for the cooperative pool.
public final class Nftables: Sendable {
    // libnftables contexts may be used from any thread, by one at a time: `lock` sees to that.
    private nonisolated(unsafe) let context: OpaquePointer
    // One for all contexts: the library keeps tables of its own that they share.
    private static let lock = Mutex<Void>(())

    /// A context for the calling thread's network namespace.
    public init() throws {
        guard let context = nft_ctx_new(UInt32(NFT_CTX_DEFAULT)) else {
            throw EngineError(.internal, "nftables gives no context", hint: "is the nf_tables kernel module there?")
        }
        self.context = context
        nft_ctx_buffer_output(context)
        nft_ctx_buffer_error(context)
    }

    deinit { nft_ctx_free(context) }

    /// Runs `commands` as one transaction.
    /// - Throws: `internal`, with nftables' own words; nothing was changed then.
    /// - Returns: what the commands print.
    @discardableResult
    public func run(_ commands: String) throws -> String { try run(commands, flags: 0) }

    /// Runs a `list` command and gives its answer in nftables' JSON form (libnftables-json(5)), rule handles
    /// included.
    public func list(_ command: String) throws -> Ruleset {
        let flags = NFT_CTX_OUTPUT_JSON | NFT_CTX_OUTPUT_HANDLE | NFT_CTX_OUTPUT_TERSE
        return try Ruleset(json: Array(run(command, flags: UInt32(flags)).utf8))
    }

    private func run(_ commands: String, flags: UInt32) throws -> String {
        try Self.lock.withLock { _ in
            nft_ctx_output_set_flags(context, flags)
            let code = nft_run_cmd_from_buffer(context, commands)
            // Reading a buffer empties it, so both are read whatever the outcome.
            let output = nft_ctx_get_output_buffer(context).map { String(cString: $0) } ?? ""
            let words = nft_ctx_get_error_buffer(context).map { String(cString: $0) } ?? ""
            guard code == 0 else { throw Self.error(words) }
            return output
        }
    }

    /// nftables repeats the command below each message and marks the place; the messages alone say enough.
    static func error(_ words: String) -> EngineError {
        let messages = words.split(separator: "\n").compactMap { line -> String? in
            guard let range = line.firstRange(of: "Error: ") else { return nil }
            return String(line[range.upperBound...])
        }
        let reason = messages.isEmpty ? words : messages.joined(separator: "; ")
        return EngineError(.internal, "nftables refused: \(reason.isEmpty ? "no reason given" : reason)")
    }
}
