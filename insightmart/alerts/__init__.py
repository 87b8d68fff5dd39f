"""Who is told what, and when: incidents, routes, mails, chat, what is kept until it can be sent, a sign of life."""
