import FoundationEssentials
import LinuxHost
import Model

/// Asks a program `docker-credential-NAME` for credentials (docker/docker-credential-helpers): `get`, the registry on
/// standard input, JSON on standard output.
enum CredentialHelper {
    private struct Answer: Decodable {
        // The protocol's own spelling.
        var Username: String
        var Secret: String
    }

    /// The credentials for `registry`; nil if the helper has none.
    static func get(_ name: String, registry: String, timeout: Duration) async throws -> RegistryCredentials? {
        let isWord =
            !name.isEmpty && name.utf8.count <= 64
            && name.utf8.allSatisfy {
                (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == 45 || $0 == 95
            }
        guard isWord else {
            throw EngineError(.invalidArgument, "\(Names.quoted(name)) is not the name of a credential helper")
        }
        let program = "docker-credential-" + name
        // Docker's helpers know Docker Hub under its old address.
        let server = registry == "docker.io" ? "https://index.docker.io/v1/" : registry
        let result = try await ProcessRunner.run(
            program, ["get"], input: Array(server.utf8), limit: 1 << 16, timeout: timeout)
        guard result.status.isSuccess else {
            if result.outputText.contains("credentials not found") { return nil }
            // Its output may hold secrets, so only the ending is told.
            throw EngineError(.unavailable, "\(program) failed to give the credentials of \(registry)")
        }
        guard !result.outputTruncated,
            let answer = try? JSONDecoder().decode(Answer.self, from: Data(result.output))
        else {
            throw EngineError(.unavailable, "\(program) gave an answer that is not JSON of the expected form")
        }
        if answer.Username == "<token>" {
            return RegistryCredentials(username: "", password: "", identityToken: answer.Secret)
        }
        if answer.Username.isEmpty, answer.Secret.isEmpty { return nil }
        return RegistryCredentials(username: answer.Username, password: answer.Secret)
    }
}
