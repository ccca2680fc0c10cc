# Passwords that come as files become variables, as 002_roles.sql reads them. Not executable: the image sources it.
for role in WRITER API VECTOR GRAFANA; do
  file=/run/secrets/postgres_$(echo "$role" | tr '[:upper:]' '[:lower:]')_password
  if [ -r "$file" ]; then export "POSTGRES_${role}_PASSWORD=$(cat "$file")"; fi
done
