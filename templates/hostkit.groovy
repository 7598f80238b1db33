// Written by hostkit at boot; what is changed here is lost at the next one.
// Gives hostkit's user the API token of this boot, and takes those of earlier boots away. What the user
// may do is said by the configuration as code.
import hudson.model.User
import jenkins.security.ApiTokenProperty

def file = new File(System.getenv('SECRETS') ?: '/run/secrets', 'hostkit_token')
def name = System.getenv('HOSTKIT_USER') ?: 'hostkit'
if (!file.canRead()) {
    println("hostkit: there is no ${file}: hostkit cannot ask this Jenkins")
    return
}
def user = User.getById(name, true)
def tokens = user.getProperty(ApiTokenProperty)
if (tokens == null) {
    tokens = new ApiTokenProperty()
    user.addProperty(tokens)
}
tokens.tokenList.findAll { it.name == 'hostkit' }.each { tokens.revokeToken(it.uuid) }
tokens.addFixedNewToken('hostkit', file.text.trim())
user.save()
println("hostkit: the user ${name} has the token of this boot")
