import CLIKit
import Client
import StackKit
import WireTypes

// Images that a project makes itself.
extension StackRunner {
    /// Sees to it that the image of a service is there, and makes the service differ from one with an older image.
    func makeImage(of service: inout Stack.Service, anew: Bool) throws {
        guard let build = service.build else { return }
        var fingerprint = anew || service.buildsAlways ? nil : try fingerprint(of: service.options.image)
        if fingerprint == nil { fingerprint = try make(build, for: service) }
        service.hash += "-" + (fingerprint ?? "").prefix(12)
    }

    /// Makes the images of services.
    func build(_ wanted: [String], noCache: Bool, pull: Bool) throws {
        let known = stack.services.map(\.name)
        if let unknown = wanted.first(where: { !known.contains($0) }) {
            throw UsageError("there is no service \(Quantity.quoted(unknown))")
        }
        for service in stack.services where wanted.isEmpty || wanted.contains(service.name) {
            guard var build = service.build else { continue }
            if noCache { build.request.noCache = true }
            if pull { build.request.pull = true }
            _ = try make(build, for: service)
        }
    }

    private func fingerprint(of image: String) throws -> String? {
        do {
            return try client.get(API.Image.self, Endpoint(["images", image])).fingerprint
        } catch let error as ClientError where error.isNotFound { return nil }
    }

    private func make(_ build: Stack.Build, for service: Stack.Service) throws -> String {
        var post = build.request
        for (id, file) in build.secrets {
            post.secrets[id] = try file.content ?? LocalFile.text(file.path ?? "", "the secret")
        }
        do {
            let fingerprint = try ImageBuild(global: global).run(post, context: build.context)
            report(service.options.image, "built")
            return fingerprint
        } catch var error as ClientError {
            error.message = "the image of service '\(service.name)': \(error.message)"
            throw error
        }
    }
}
